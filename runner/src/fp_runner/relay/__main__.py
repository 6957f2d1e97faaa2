"""usage: python -m fp_runner.relay <upstream> <connections per app> <connections of all>

The upstream is MongoDB's unix socket, or an address:port on this machine.

The protocol is one JSON object per line. On standard input:
    {"op": "open", "app": …, "path": …}     answered by "opened" or "failed"
    {"op": "close", "app": …}
On standard output:
    {"event": "ready"}                      once, at the start
    {"event": "opened", "app": …}
    {"event": "failed", "app": …, "message": …}
    {"event": "refused", "app": …, "count": …, "open": …}
    {"event": "forbidden", "app": …, "count": …, "reason": …}
Exits when standard input is closed.
"""

import gc
import json
import os
import sys
from typing import Any, Final

from fp_runner.relay.descriptors import allow_descriptors
from fp_runner.relay.relay import Limits, Relay

# A higher priority than the apps have: every query of an app passes through this process.
_NICE: Final = -5


def main() -> None:
    """Runs until the platform closes its end of standard input."""
    upstream, per_app, total = sys.argv[1:]
    allow_descriptors(2 * int(total))
    try:
        os.nice(_NICE)
    except OSError:
        # This is not permitted without root.
        pass
    # Apps run as users of their own, so every user may connect. The folder and the unguessable name protect a socket.
    os.umask(0o111)
    relay = Relay(upstream, Limits(int(per_app), int(total)), _print_event)
    control = _Control(relay)
    _print_event({"event": "ready"})
    gc.freeze()
    try:
        relay.run(sys.stdin.fileno(), control.read)
    finally:
        relay.close_all()


class _Control:
    """Reads the requests of the platform from standard input."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._rest = b""

    def read(self) -> bool:
        data = os.read(sys.stdin.fileno(), 64 * 1024)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        return bool(data)

    def _do(self, message: dict[str, Any]) -> None:
        app = message["app"]
        if message["op"] == "close":
            self._relay.close(app)
            return
        try:
            self._relay.open(app, message["path"])
        except OSError as error:
            _print_event({"event": "failed", "app": app, "message": str(error)})
        else:
            _print_event({"event": "opened", "app": app})


def _print_event(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
