"""The private root of an app: a small read-only tree that holds what Python needs and nothing of the host's.

Built on a tmpfs over /proc of the app's own mount namespace: /proc exists everywhere, nothing below it is bound into
the root, and so no folder of the host is needed, hidden or left over.
"""

import os
import sys
from typing import Final

from fp_runner import libc

STAGE: Final = "/proc"
APP_DIR: Final = "/app"
# Where an app keeps files that last; the platform names it in PLATFORM_DATA_DIR.
DATA_DIR: Final = "/data"
# Where an app finds its own socket to the platform's MongoDB; only the app is told its name.
MONGODB_DIR: Final = "/run/mongodb"

_SYSTEM: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CERTIFICATES: Final = ("/etc/ssl", "/etc/pki/tls", "/etc/pki/ca-trust", "/etc/ca-certificates")
_COPIED: Final = ("/etc/resolv.conf", "/etc/localtime", "/etc/services", "/etc/protocols")
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
# What /proc still tells about the machine as a whole; /proc is read-only besides.
_MASKED: Final = ("kcore", "keys", "key-users", "kmsg", "timer_list", "sched_debug", "kallsyms")
_BIND: Final = libc.MS_BIND | libc.MS_REC
_FIXED: Final = libc.MS_NOSUID | libc.MS_NODEV

# Enough inodes for many small files, too few to fill the kernel's memory with empty ones.
_TMP_INODES: Final = 20_000
_SHM_BYTES: Final = 64 * 1024 * 1024


def python_paths() -> list[str]:
    """The folders outside /usr that this interpreter lives in and imports from, the runner's own left out."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    imported = [path for path in sys.path if os.path.isabs(path) and os.path.isdir(path) and path != own]
    found: list[str] = []
    for path in (sys.base_prefix, sys.prefix, os.path.realpath(sys.prefix), *imported):
        covered = any(path == top or path.startswith(top + "/") for top in ("/usr", *found))
        if not covered:
            found.append(path)
    return found


def etc_files(resolver: str | None = None) -> dict[str, bytes]:
    """The made-up /etc. Read once, by the zygote: name → content. `resolver` is asked for names, not the machine's."""
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
    """Builds all of the root that is the same for every app. The caller is in its own mount namespace."""
    # Without this, every mount made here would spread to the host.
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    _tmpfs(STAGE, "size=1m,nr_inodes=2k,mode=755")
    # First, so that a Python that lies below /tmp is bound into it. `enter` gives it its size.
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
        # The folder, not the socket: MongoDB makes another when it starts again.
        _bind(mongodb, MONGODB_DIR)
    _write_etc(etc)
    _make_dev()
    for name in ("proc", "app"):
        os.mkdir(f"{STAGE}/{name}", 0o755)


def mount_proc() -> None:
    """Mounts /proc of the pid namespace that the caller is in."""
    proc = f"{STAGE}/proc"
    flags = _FIXED | libc.MS_NOEXEC | libc.MS_RDONLY
    libc.mount("proc", proc, "proc", flags, "hidepid=invisible")
    for name in _MASKED:
        if os.path.exists(f"{proc}/{name}"):
            libc.mount(f"{STAGE}/dev/null", f"{proc}/{name}", None, libc.MS_BIND)


def enter(app_dir: str, storage: str | None, tmp_bytes: int, uid: int, gid: int) -> None:
    """Adds what is this app's own and makes the tree the root. Nothing outside can be reached afterwards."""
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
    # The root alone, not what is mounted in it: /tmp stays writable.
    libc.mount("none", "/", None, libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | _FIXED)
    os.chdir(APP_DIR)


def _mount_storage(device: str) -> None:
    """The device is an image of fixed size: the file system itself is the limit of what the app may keep."""
    target = STAGE + DATA_DIR
    os.mkdir(target, 0o755)
    # `discard`: what the app deletes is given back to the machine's disk.
    libc.mount(device, target, "ext4", _FIXED | libc.MS_NOEXEC, "discard")
    # mkfs makes it for repairs; an app that lists its folder is not to find what is not its own.
    try:
        os.rmdir(f"{target}/lost+found")
    except FileNotFoundError:
        pass


def _tmpfs(target: str, data: str) -> None:
    libc.mount("tmpfs", target, "tmpfs", _FIXED, data)


def _bind(path: str, seen_as: str | None = None) -> None:
    target = STAGE + (seen_as or path)
    # 0755 whatever the host has, so that the app's uid can walk through a 0700 /root to its interpreter.
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
        # Binds, since a user namespace cannot mknod; so no MS_NODEV on these few.
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
