"""Runs an app alone in a pod: the container is its sandbox, and it has a TCP port of its own."""

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
# How long to wait for the first request on new connections; limited to this part of the grace period.
_FIRST_REQUEST_SECONDS: Final = 1.0
_FIRST_REQUEST_PART: Final = 0.25


class PodEnvironment:
    """The AppEnvironment (see app_process) in a pod. Requests also have `since`, `before` and
    `network_policy_seconds`."""

    def enter(self, request: Message, listen_fd: int | None) -> str:
        """Adds the runner's restrictions to the container's own isolation."""
        os.chdir(request["app_dir"])
        os.umask(0o022)
        limits.apply_per_process(limits.ProcessLimits(**request["limits"]))
        privileges.no_new_privs()
        privileges.die_with_parent()
        # The supervisor is not dumpable, so that the app cannot read its memory. The app must read its own /proc/self.
        libc.prctl(libc.PR_SET_DUMPABLE, 1)
        seccomp.install(seccomp.app_filter(listen_fd))
        network_policies.wait_until_enforced(request["network_policy_seconds"])
        return str(request["app_dir"])

    def server(self, app: AsgiApp, request: Message, control: socket.socket, on_ready: OnReady) -> serve.AppServer:
        """Serves on the port that the supervisor bound."""
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
    """Serves on a port. Unlike a unix socket without its file, a port accepts new connections until it is closed. It
    must be closed first, without losing a connection."""

    async def take_backlog(self, sockets: list[socket.socket]) -> None:
        """Accepts waiting connections, closes the port, and waits briefly for the first requests on those
        connections."""
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
            # uvicorn counts from the end of this method.
            self.config.timeout_graceful_shutdown = max(0, grace - (loop.time() - begun))  # type: ignore[assignment]

    def _protocol(self) -> asyncio.Protocol:
        # The same call as in uvicorn's startup.
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _has_unasked(self) -> bool:
        # `cycle` is the current request of uvicorn's HTTP protocol. None: the first request may still be on its way.
        return any(getattr(connection, "cycle", self) is None for connection in self.server_state.connections)
