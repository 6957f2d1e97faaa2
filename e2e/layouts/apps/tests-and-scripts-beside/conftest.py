import pytest_asyncio  # noqa: F401
