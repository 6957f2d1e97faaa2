"""usage: python -m fp_runner.relay.port <port> <upstream> <connections of all>

Beside MongoDB in a cluster: carries what pods of apps send to the port. Each address has FP_DATABASE_CONNECTIONS (128).
The upstream is MongoDB's address:port. It must not be loopback: until MongoDB has its first user, whoever comes from
there may make it. Tells of what it refuses by JSON on standard output, one object a line; the app is the pod's
address. Ends with SIGTERM or SIGINT.
"""

import gc
import json
import os
import signal
import sys
from typing import Any, Final

from fp_runner import tcp
from fp_runner.relay.descriptors import allow_descriptors
from fp_runner.relay.relay import Limits, Relay

_PER_ADDRESS: Final = "FP_DATABASE_CONNECTIONS"
_DEFAULT_PER_ADDRESS: Final = "128"


def main() -> None:
    """Runs until it is told to end."""
    port, upstream, total = sys.argv[1:]
    allow_descriptors(2 * int(total))
    relay = Relay(upstream, Limits(int(os.environ.get(_PER_ADDRESS) or _DEFAULT_PER_ADDRESS), int(total)), _say)
    ending, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    relay.listen(tcp.listen(int(port)))
    _say({"event": "ready"})
    gc.freeze()
    try:
        relay.run(ending, lambda: False)
    finally:
        relay.close_all()


def _say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
