"""The app's side of a pod: alone in a container, which is its sandbox, on a TCP port of its own."""

import asyncio
import os
import socket
import time
from typing import Final

from fp_runner import libc, limits, network_policies, privileges, seccomp, serve, tcp
from fp_runner.app_process import OnReady
from fp_runner.asgi import READY_PATH, Answer, AsgiApp, RunnerApp, server_timing
from fp_runner.protocol import Message

ALIVE_PATH: Final = "/_fp/alive"
CLAIM_PATH: Final = "/_fp/claim"
_CLAIMED: Final = Answer(
    409,
    b'{"code":"FP_POD_CLAIMED","message":"This pod has a start request already."}',
    ((b"content-type", b"application/json"),),
)
# For the first request on connections that have asked for nothing yet; at most this part of the grace.
_FIRST_REQUEST_SECONDS: Final = 1.0
_FIRST_REQUEST_PART: Final = 0.25


class PodEnvironment:
    """app_process.AppEnvironment in a pod. Its requests also have `since`, `before` and `network_policy_seconds`."""

    def enter(self, request: Message, listen_fd: int | None) -> str:
        """What the runner adds to the container's own isolation."""
        os.chdir(request["app_dir"])
        os.umask(0o022)
        limits.apply_per_process(limits.ProcessLimits(**request["limits"]))
        privileges.no_new_privs()
        privileges.die_with_parent()
        # The supervisor is not, to keep the app out of its memory; the app reads its own /proc/self.
        libc.prctl(libc.PR_SET_DUMPABLE, 1)
        seccomp.install(seccomp.app_filter(listen_fd))
        network_policies.wait_until_enforced(request["network_policy_seconds"])
        return str(request["app_dir"])

    def server(self, app: AsgiApp, request: Message, control: socket.socket, on_ready: OnReady) -> serve.AppServer:
        """On the port that the supervisor bound."""
        imported = time.monotonic()
        answers = {
            ("GET", ALIVE_PATH): Answer(204),
            ("GET", CLAIM_PATH): _CLAIMED,
            ("POST", CLAIM_PATH): _CLAIMED,
        }

        def ready() -> None:
            at = request["before"] | {
                "imported": (imported - request["since"]) * 1000,
                "ready": (time.monotonic() - request["since"]) * 1000,
            }
            answers["GET", READY_PATH] = Answer(204, headers=((b"server-timing", server_timing(at).encode()),))
            on_ready()

        return PodServer(serve.make_config(RunnerApp(app, answers)), control, ready)


class PodServer(serve.AppServer):
    """Has a port, which no removed file keeps others from: it must be closed before they come, and lose nobody."""

    async def take_backlog(self, sockets: list[socket.socket]) -> None:
        """Accepts what waits, closes the port, and waits a moment for what those connections were made to ask."""
        await super().take_backlog(sockets)
        late = [connection for listener in sockets for connection in tcp.close_port(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in late:
            await loop.connect_accepted_socket(self._protocol, connection)
        grace = self.config.timeout_graceful_shutdown
        begun, left = loop.time(), _FIRST_REQUEST_SECONDS
        if grace is not None:
            left = min(left, grace * _FIRST_REQUEST_PART)
        while self._has_unasked() and loop.time() < begun + left:
            await asyncio.sleep(0.005)
        if grace is not None:
            # uvicorn counts from the end of this.
            self.config.timeout_graceful_shutdown = max(0, grace - (loop.time() - begun))  # type: ignore[assignment]

    def _protocol(self) -> asyncio.Protocol:
        # As uvicorn's startup has it.
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _has_unasked(self) -> bool:
        # The HTTP protocol's cycle is its request, the first of which may still be on its way.
        return any(getattr(connection, "cycle", self) is None for connection in self.server_state.connections)
