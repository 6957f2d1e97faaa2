"""The helper process's report about the networks that it can create."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkReport:
    """Whether apps get networks: they do if `why` is None."""

    why: str | None
    notes: tuple[str, ...]
