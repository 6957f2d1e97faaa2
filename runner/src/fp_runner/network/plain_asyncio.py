"""asyncio without TLS, which the resolver does not need. OpenSSL would take 3 MiB in the manager and in its helpers."""

import sys

if "ssl" in sys.modules:
    import asyncio
else:
    # asyncio works without ssl if the module cannot be imported.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        import asyncio
    finally:
        del sys.modules["ssl"]

__all__ = ["asyncio"]
