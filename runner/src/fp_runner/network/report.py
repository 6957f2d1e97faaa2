"""What the helper process says of the networks that it can give."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkReport:
    """Whether apps get networks. `why` is None where they do."""

    why: str | None
    notes: tuple[str, ...]
