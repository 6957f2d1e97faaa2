"""Describes the end of an app's process for its owner."""

import os
import signal
from typing import Literal

End = Literal["exited", "crashed", "out_of_memory", "killed"]


def decode(status: int | None) -> tuple[int | None, int | None]:
    """(exit code, signal) of a wait status. None means that the whole namespace was killed."""
    if status is None:
        return None, signal.SIGKILL
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def explain(code: int | None, number: int | None, out_of_memory: str | None) -> tuple[End, str]:
    """Explains why an app ended that was not stopped. `out_of_memory`: the text if the kernel killed it for its memory
    use."""
    if number == signal.SIGKILL:
        if out_of_memory:
            return "out_of_memory", out_of_memory
        return "killed", "The app was killed by the machine."
    if number:
        return "crashed", f"The app crashed with {signal.Signals(number).name}."
    if code:
        return "crashed", f"The app ended itself with exit code {code}."
    return "exited", "The app ended by itself."
