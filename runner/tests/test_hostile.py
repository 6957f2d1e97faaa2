"""Apps that try forbidden things. Each is a real app that answers with the outcome of its attack."""

import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

import driver
from conftest import App, MakeApp

HEAD = """
import ctypes, errno, mmap, os, signal, socket, subprocess, sys
from fastapi import FastAPI
app = FastAPI()
libc = ctypes.CDLL(None, use_errno=True)

def outcome(work):
    try:
        return repr(work())
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except BaseException as error:
        return type(error).__name__

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
    return "done"
"""


def attack(make_app: MakeApp, body: str, **limits: int) -> App:
    """An app that runs the body of a function on GET /."""
    code = HEAD + '\n@app.get("/")\ndef attack():\n' + textwrap.indent(textwrap.dedent(body), "    ")
    return make_app(code).start(limits=limits).ready()


def ask(make_app: MakeApp, body: str, **limits: int) -> Any:
    return attack(make_app, body, **limits).get("/").json()


def test_the_hosts_files_do_not_exist_for_apps(make_app: MakeApp, tmp_path: Path) -> None:
    make_app("app = 1", name="other")
    repo = Path(__file__).resolve().parents[2]
    paths = ["/etc/shadow", "/etc/gshadow", "/boot", str(repo / "package.json"), str(tmp_path), "/sys", "/var",
             "/home", "/run", str(driver.SOURCE), f"/proc/1/root{tmp_path}", "/dev/mem", "/dev/sda", "/dev/vda",
             "/dev/kmsg", "/dev/tty", "/dev/fuse"]  # fmt: skip
    answer = ask(make_app, f"return [p for p in {paths!r} if os.path.exists(p)]")
    assert answer == []


def test_an_app_cannot_read_the_platforms_environment(make_app: MakeApp) -> None:
    answer = ask(
        make_app,
        """
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        return [outcome(lambda: open("/proc/1/environ").read()), sorted(pids), os.getpid()]
        """,
    )
    assert answer[0] in ("ENOENT", "EACCES", "EPERM")
    assert answer[1] == [answer[2]]


def test_another_apps_socket_cannot_be_connected_to(make_app: MakeApp) -> None:
    other = make_app("from fastapi import FastAPI\napp = FastAPI()\n", name="other").start().ready()
    body = f"return outcome(lambda: socket.socket(socket.AF_UNIX).connect({str(other.socket)!r}))"
    assert ask(make_app, body) == "ENOENT"


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("call('mount', b'none', b'/tmp', b'tmpfs', 0, None)", "EPERM"),
        ("call('umount2', b'/proc', 2)", "EPERM"),
        ("call('chroot', b'/tmp')", "EPERM"),
        ("call('ptrace', 16, os.getppid(), 0, 0)", "EPERM"),
        ("call('unshare', 0x10000000)", "EPERM"),
        ("call('setns', 0, 0)", "EPERM"),
        ("call('personality', 0xffffffff)", "EPERM"),
        ("call('syscall', 435, 0, 0)", "ENOSYS"),
        ("call('syscall', 425, 8, 0)", "EPERM"),
        ("call('syscall', 321, 0, 0, 0)", "EPERM"),
        ("call('syscall', 250, 0, 0, 0)", "EPERM"),
        ("call('syscall', 56, 0x10000011, 0, 0, 0, 0)", "EPERM"),
        ("call('process_vm_readv', 1, 0, 0, 0, 0, 0)", "EPERM"),
        ("os.setuid(0)", "EPERM"),
        ("os.setgroups([0])", "EPERM"),
        ("os.chown('/tmp', 0, 0)", "EPERM"),
        ("os.kill(1, 9)", "EPERM"),
        ("os.mknod('/tmp/null', 0o20666, os.makedev(1, 3))", "EPERM"),
        ("open('/app/app.py', 'a')", "EROFS"),
        ("open('/app/new.txt', 'w')", "EROFS"),
        ("open('/usr/x', 'w')", "EROFS"),
        ("open('/proc/sys/kernel/hostname', 'w')", "EROFS"),
        ("open('/proc/self/oom_score_adj', 'w')", "EROFS"),
        ("socket.socket(socket.AF_PACKET)", "EAFNOSUPPORT"),
        ("socket.socket(40, socket.SOCK_STREAM)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)", "EACCES"),
        ("socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", "EPERM"),
        ("socket.create_server(('127.0.0.1', 0))", "EACCES"),
        ("__import__('fcntl').ioctl(0, 0x5412, b'x')", "EPERM"),
        ("os.nice(-5)", "EPERM"),
        ("socket.sethostname('x')", "EPERM"),
        ("__import__('resource').setrlimit(__import__('resource').RLIMIT_NPROC, (9999, 9999))", "ValueError"),
    ],
)
def test_denied(make_app: MakeApp, work: str, expected: str) -> None:
    answer = ask(make_app, f"return outcome(lambda: {work})")
    # EROFS and EACCES both prevent writing a file. The kernel decides which one is reported.
    assert answer == expected or {answer, expected} == {"EROFS", "EACCES"}


def test_dup2_to_the_allowed_descriptor_does_not_make_a_socket_listen(make_app: MakeApp) -> None:
    answer = ask(
        make_app,
        """
        mine = socket.socket()
        mine.bind(("127.0.0.1", 0))
        listening = []
        for fd in range(3, 64):
            copy = os.dup(fd) if os.path.exists(f"/proc/self/fd/{fd}") and fd != mine.fileno() else None
            if copy is not None:
                os.dup2(mine.fileno(), fd)
                libc.listen(fd, 1)
                with socket.socket() as probe:
                    probe.settimeout(1)
                    listening.append(probe.connect_ex(mine.getsockname()) == 0)
                os.dup2(copy, fd)
                os.close(copy)
        return [len(listening) > 0, any(listening)]
        """,
    )
    assert answer == [True, False]


def test_an_app_has_no_privileges(make_app: MakeApp) -> None:
    answer = ask(
        make_app,
        """
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
        return [int(lines[name].strip(), 16) for name in names]
        """,
    )
    assert answer == [0, 0, 0, 0, 0, 1, 2]


def test_no_descriptor_of_the_platform_is_open(make_app: MakeApp) -> None:
    body = """
        links = []
        for fd in os.listdir("/proc/self/fd"):
            try:
                links.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
            except OSError:
                continue
        return sorted(set(links))
    """
    known = ("socket", "pipe", "anon_inode", "/dev/null", "/null", "/proc")
    strange = [link for link in ask(make_app, body) if not link.startswith(known) and not link.endswith("one.log")]
    assert strange == []


def test_a_fork_bomb_stops_at_the_limit(make_app: MakeApp) -> None:
    body = """
        made = 0
        try:
            while made < 500:
                if os.fork() == 0:
                    signal.pause()
                made += 1
        except OSError as error:
            return [made, errno.errorcode[error.errno]]
        return [made, "none"]
    """
    app = attack(make_app, body, pids=32)
    made, error = app.get("/").json()
    assert made < 32
    assert error == "EAGAIN"
    assert app.kill()["reason"] == "killed"


def test_a_large_allocation_raises_a_memory_error(make_app: MakeApp) -> None:
    app = attack(make_app, "return len(bytearray(2_000_000_000))", memory_bytes=128 * 1024 * 1024)
    assert app.get("/").status_code == 500
    app.stop()
    assert "MemoryError" in app.output()


def test_an_app_that_exceeds_its_memory_is_killed(make_app: MakeApp) -> None:
    body = """
        shared = mmap.mmap(-1, 400_000_000)
        for at in range(0, 400_000_000, 4096):
            shared[at] = 1
    """
    app = attack(make_app, body, memory_bytes=128 * 1024 * 1024)
    with pytest.raises(httpx.TransportError):
        app.get("/")
    gone = app.exited()
    assert (gone["reason"], gone["signal"]) == ("out_of_memory", "SIGKILL")
    assert "128 MiB" in gone["message"]


def test_tmp_and_files_are_limited(make_app: MakeApp) -> None:
    body = """
        def fill(path, size):
            with open(path, "wb", buffering=0) as file:
                written = 0
                while written < 64_000_000:
                    written += file.write(bytes(size))
        return [outcome(lambda: fill("/tmp/huge", 100_000)),
                [outcome(lambda: fill(f"/tmp/{n}", 100_000)) for n in range(8)][-1]]
    """
    assert ask(make_app, body, file_bytes=4_000_000, tmp_bytes=10_000_000) == ["EFBIG", "ENOSPC"]


def test_open_files_are_limited(make_app: MakeApp) -> None:
    body = "return outcome(lambda: [os.open('/dev/null', 0) for _ in range(5000)])"
    assert ask(make_app, body, open_files=128) == "EMFILE"


def test_a_full_log_does_not_affect_the_app(make_app: MakeApp) -> None:
    app = attack(make_app, "[print('x' * 1000) for _ in range(3000)]\nreturn 'fine'", file_bytes=1_000_000)
    assert app.get("/").json() == "fine"
    assert app.log.stat().st_size <= 1_000_000


def test_python_works_in_the_sandbox(make_app: MakeApp) -> None:
    body = """
        import concurrent.futures, multiprocessing, pwd, ssl, tempfile, time, zoneinfo
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            total = sum(pool.map(int, "12345"))
        # A Pool could hang when it ends in a program with threads. The Lock also needs /dev/shm.
        context = multiprocessing.get_context("fork")
        child = context.Process(target=context.Lock().acquire)
        child.start()
        child.join()
        certificates = ssl.create_default_context().cert_store_stats()["x509_ca"]
        return [total, child.exitcode, pwd.getpwuid(os.getuid()).pw_name, socket.gethostname(),
                socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4][0], certificates > 0,
                str(zoneinfo.ZoneInfo("Europe/Berlin")),
                subprocess.check_output([sys.executable, "-c", "print(1)"], text=True),
                os.path.exists("/etc/os-release")]
    """
    answer = ask(make_app, body)
    assert answer == [15, 0, "app", "app", "127.0.0.1", True, "Europe/Berlin", "1\n", True]
