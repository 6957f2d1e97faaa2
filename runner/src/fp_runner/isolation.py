"""The mechanisms that isolate apps, and which of them work on this machine."""

from dataclasses import dataclass, field, fields
from typing import Any, Final

# The effects of missing mechanisms, for the admin of the machine.
EFFECTS: Final[dict[str, str]] = {
    "mount_namespace": "apps could read the machine's files; no app is started",
    "pid_namespace": "apps could see and signal other processes; no app is started",
    "ipc_namespace": "apps could reach System V shared memory of others",
    "uts_namespace": "apps see the machine's host name",
    "network": "apps share the machine's network: they reach its loopback, its own and private networks and each other",
    "own_uid": "all apps run as the platform's own user, separated only by namespaces",
    "user_namespace": "without root no namespace can be made",
    "seccomp": "the kernel's whole surface is open to apps; no app is started",
    "no_new_privs": "set-uid programs could give apps privileges; no app is started",
    "rlimits": "apps could use up memory, processes and files",
    "memory_cgroup": "memory is limited for each process of an app, not for the app as a whole",
    "pids_cgroup": "processes are limited for each user id only",
    "cpu_cgroup": "the processor is shared by process, not by user: apps run at nice 5, and a busy user slows others",
}


@dataclass(frozen=True)
class Mechanisms:
    """A field is True if the mechanism was tried and works. `why` has the reasons for the others."""

    mount_namespace: bool = False
    pid_namespace: bool = False
    ipc_namespace: bool = False
    uts_namespace: bool = False
    network: bool = False
    own_uid: bool = False
    user_namespace: bool = False
    seccomp: bool = False
    no_new_privs: bool = False
    rlimits: bool = False
    memory_cgroup: bool = False
    pids_cgroup: bool = False
    cpu_cgroup: bool = False
    why: dict[str, str] = field(default_factory=dict)

    @property
    def minimum(self) -> bool:
        """Whether user code may run at all."""
        namespaces = self.mount_namespace and self.pid_namespace
        no_privileges = self.seccomp and self.no_new_privs
        return namespaces and no_privileges and (self.own_uid or self.user_namespace)

    def report(self) -> dict[str, Any]:
        """The isolation report: "isolation" of the hello message."""
        mechanisms = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "why"}
        if self.own_uid:
            # As root no user namespace is used, so it is not missing.
            del mechanisms["user_namespace"]
        missing = [
            {"mechanism": name, "why": self.why.get(name, "unknown"), "effect": EFFECTS[name]}
            for name, there in mechanisms.items()
            if not there
        ]
        return {"mechanisms": mechanisms, "missing": missing, "minimum": self.minimum}
