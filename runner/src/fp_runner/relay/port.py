"""usage: python -m fp_runner.relay.port <port> <upstream> <connections of all>

This process runs next to MongoDB in a cluster and proxies what the pods of apps send to the port. Each address may have
FP_DATABASE_CONNECTIONS (128) connections. The upstream is MongoDB's address:port. It must not be loopback: until
MongoDB has its first user, every client on loopback may create that user. Refusals are reported on standard output, one
JSON object per line, with the pod's address as the app. SIGTERM and SIGINT end the process.
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
    """Runs until SIGTERM or SIGINT."""
    port, upstream, total = sys.argv[1:]
    allow_descriptors(2 * int(total))
    relay = Relay(upstream, Limits(int(os.environ.get(_PER_ADDRESS) or _DEFAULT_PER_ADDRESS), int(total)), _print_event)
    ending, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    relay.listen(tcp.listen(int(port)))
    _print_event({"event": "ready"})
    gc.freeze()
    try:
        relay.run(ending, lambda: False)
    finally:
        relay.close_all()


def _print_event(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
