"""Resource limits, also on kernels that do not support all of them."""

import resource
from typing import Any

import pytest

from fp_runner import limits

LIMITS = limits.ProcessLimits(file_bytes=1_000_000, open_files=99, start_seconds=20)
# gVisor refuses these: see setableLimits in its pkg/sentry/syscalls/linux/sys_rlimit.go.
UNKNOWN_TO_GVISOR = {resource.RLIMIT_MSGQUEUE, resource.RLIMIT_SIGPENDING}


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Setting a kind of `refused["kinds"]` fails. `refused["set"]` has the others; no limit is really set."""
    state: dict[str, Any] = {"kinds": set(), "set": {}}

    def setrlimit(kind: int, value: tuple[int, int]) -> None:
        if kind in state["kinds"]:
            raise ValueError("not allowed to raise maximum limit")
        state["set"][kind] = value

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return state


def test_limits_that_gvisor_does_not_support_are_skipped(refused: dict[str, Any]) -> None:
    limits.apply_per_process(LIMITS)
    everything = dict(refused["set"])
    assert everything.keys() >= UNKNOWN_TO_GVISOR
    refused.update(kinds=UNKNOWN_TO_GVISOR, set={})
    limits.apply_per_process(LIMITS)
    assert refused["set"] == {kind: value for kind, value in everything.items() if kind not in UNKNOWN_TO_GVISOR}


@pytest.mark.parametrize("kind", [resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE])
def test_an_unsupported_other_limit_is_an_error(refused: dict[str, Any], kind: int) -> None:
    refused["kinds"] = {kind}
    with pytest.raises(ValueError, match="not allowed"):
        limits.apply_per_process(LIMITS)
