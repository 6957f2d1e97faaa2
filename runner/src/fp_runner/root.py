"""The private root of an app: a small read-only tree with what Python needs and nothing else of the host.

It is built on a tmpfs that is mounted over /proc in the app's own mount namespace. /proc exists on every host, and
nothing below it is bound into the root, so this needs no folder on the host.
"""

import os
import sys
from typing import Final

from fp_runner import libc

STAGE: Final = "/proc"
APP_DIR: Final = "/app"
# The folder for files that an app keeps. The platform sets PLATFORM_DATA_DIR to it.
DATA_DIR: Final = "/data"
# The folder with the app's own socket to the platform's MongoDB. Only the app knows the socket's name.
MONGODB_DIR: Final = "/run/mongodb"

_SYSTEM: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CERTIFICATES: Final = ("/etc/ssl", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/ca-certificates")
_COPIED: Final = ("/etc/resolv.conf", "/etc/localtime", "/etc/services", "/etc/protocols")
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
# Entries of /proc with information about the whole machine. /proc is also read-only.
_MASKED: Final = ("kcore", "keys", "key-users", "kmsg", "timer_list", "sched_debug", "kallsyms")
_BIND: Final = libc.MS_BIND | libc.MS_REC
_FIXED: Final = libc.MS_NOSUID | libc.MS_NODEV

# Enough inodes for many small files, but too few to fill the kernel's memory with empty files.
_TMP_INODES: Final = 20_000
_SHM_BYTES: Final = 64 * 1024 * 1024


def python_paths() -> list[str]:
    """The folders outside /usr in which this interpreter is and from which it imports, except the runner's own."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    imported = [path for path in sys.path if os.path.isabs(path) and os.path.isdir(path) and path != own]
    found: list[str] = []
    for path in (sys.base_prefix, sys.prefix, os.path.realpath(sys.prefix), *imported):
        covered = any(path == top or path.startswith(top + "/") for top in ("/usr", *found))
        if not covered:
            found.append(path)
    return found


def etc_files(resolver: str | None = None) -> dict[str, bytes]:
    """The files of the private /etc (name → content), read once by the zygote. `resolver` replaces the machine's DNS
    server."""
    files = {
        "passwd": b"root:x:0:0:root:/:/usr/sbin/nologin\napp:x:%d:%d:app:/tmp:/usr/sbin/nologin\n",
        "group": b"root:x:0:\napp:x:%d:\n",
        "hosts": b"127.0.0.1 localhost app\n::1 localhost\n",
        "hostname": b"app\n",
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for path in _COPIED:
        try:
            with open(path, "rb") as source:
                files[os.path.basename(path)] = source.read()
        except OSError:
            continue
    if resolver:
        files["resolv.conf"] = f"nameserver {resolver}\noptions edns0 timeout:3\n".encode()
    return files


def build(etc: dict[str, bytes], mongodb: str | None) -> None:
    """Builds the part of the root that is the same for every app. The caller is in its own mount namespace."""
    # Without this, every mount would propagate to the host.
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    _tmpfs(STAGE, "size=1m,nr_inodes=2k,mode=755")
    # Comes first, so that a Python below /tmp can be bound into it. `enter` sets its final size.
    os.mkdir(f"{STAGE}/tmp")
    _tmpfs(f"{STAGE}/tmp", f"size=1m,nr_inodes={_TMP_INODES},mode=1777")
    for name in _SYSTEM:
        _bind_system(name)
    for path in python_paths():
        _bind(path)
    for path in _CERTIFICATES:
        if os.path.isdir(path) and not os.path.islink(path):
            _bind(path)
    if mongodb:
        # Binds the folder, not the socket, because MongoDB creates a new socket when it restarts.
        _bind(mongodb, MONGODB_DIR)
    _write_etc(etc)
    _make_dev()
    for name in ("proc", "app"):
        os.mkdir(f"{STAGE}/{name}", 0o755)


def mount_proc() -> None:
    """Mounts /proc for the caller's pid namespace."""
    proc = f"{STAGE}/proc"
    flags = _FIXED | libc.MS_NOEXEC | libc.MS_RDONLY
    libc.mount("proc", proc, "proc", flags, "hidepid=invisible")
    for name in _MASKED:
        if os.path.exists(f"{proc}/{name}"):
            libc.mount(f"{STAGE}/dev/null", f"{proc}/{name}", None, libc.MS_BIND)


def enter(app_dir: str, storage: str | None, tmp_bytes: int, uid: int, gid: int) -> None:
    """Adds the app's own parts and makes the tree the root. Nothing outside is reachable afterwards."""
    target = STAGE + APP_DIR
    libc.mount(app_dir, target, None, _BIND)
    libc.restrict_mounts(target, _FIXED | libc.MS_RDONLY)
    if storage:
        _mount_storage(storage)
    libc.mount("none", f"{STAGE}/tmp", None, libc.MS_REMOUNT | _FIXED, f"size={tmp_bytes}")
    _tmpfs(f"{STAGE}/dev/shm", f"size={min(tmp_bytes, _SHM_BYTES)},nr_inodes=2k,mode=1777")
    for name, values in (("passwd", (uid, gid)), ("group", (gid,))):
        path = f"{STAGE}/etc/{name}"
        with open(path, "r+b") as file:
            content = file.read() % values
            file.seek(0)
            file.write(content)
    libc.pivot_root_here(STAGE)
    # Only the root itself, not the mounts in it: /tmp stays writable.
    libc.mount("none", "/", None, libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | _FIXED)
    os.chdir(APP_DIR)


def _mount_storage(device: str) -> None:
    """Mounts an image of fixed size. Its file system limits what the app can store."""
    target = STAGE + DATA_DIR
    os.mkdir(target, 0o755)
    # `discard` returns the space of deleted files to the machine's disk.
    libc.mount(device, target, "ext4", _FIXED | libc.MS_NOEXEC, "discard")
    # mkfs creates this folder for repairs. An app that lists its folder should only see its own files.
    try:
        os.rmdir(f"{target}/lost+found")
    except FileNotFoundError:
        pass


def _tmpfs(target: str, data: str) -> None:
    libc.mount("tmpfs", target, "tmpfs", _FIXED, data)


def _bind(path: str, seen_as: str | None = None) -> None:
    target = STAGE + (seen_as or path)
    # 0755 whatever the host has, so that the app's uid can reach its interpreter below a 0700 /root.
    os.makedirs(target, 0o755, exist_ok=True)
    libc.mount(path, target, None, _BIND)
    libc.restrict_mounts(target, _FIXED | libc.MS_RDONLY)


def _bind_system(name: str) -> None:
    path = f"/{name}"
    if os.path.islink(path):
        os.symlink(os.readlink(path), STAGE + path)
    elif os.path.isdir(path):
        _bind(path)


def _write_etc(etc: dict[str, bytes]) -> None:
    os.makedirs(f"{STAGE}/etc", 0o755, exist_ok=True)
    for name, content in etc.items():
        fd = os.open(f"{STAGE}/etc/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, content)
        os.close(fd)
    os.symlink("/usr/lib/os-release", f"{STAGE}/etc/os-release")


def _make_dev() -> None:
    dev = f"{STAGE}/dev"
    os.mkdir(dev, 0o755)
    for name in _DEVICES:
        # Bind mounts, because mknod is not possible in a user namespace. So these few have no MS_NODEV.
        os.close(os.open(f"{dev}/{name}", os.O_WRONLY | os.O_CREAT, 0o644))
        libc.mount(f"/dev/{name}", f"{dev}/{name}", None, libc.MS_BIND)
        libc.restrict_mounts(f"{dev}/{name}", libc.MS_NOSUID | libc.MS_NOEXEC)
    os.mkdir(f"{dev}/shm", 0o755)
    for link, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{dev}/{link}")
