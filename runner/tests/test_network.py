"""What apps can reach. Real apps run the attacks; the machine and the internet are network namespaces (world.py)."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

import driver
from conftest import App
from fp_runner.isolation import Mechanisms
from fp_runner.network import access, firewall
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import Settings
from network_client import CLIENT, ask, settings
from world import DNS, MACHINE, PORT, PRIVATE, PUBLIC, World

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or firewall.program() is None or shutil.which("ip") is None,
    reason="joining networks needs root, nftables and iproute2",
)

ROOMY = 8081


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def manager(world: World) -> Iterator[driver.Manager]:
    manager = driver.Manager(prefix=world.prefix(), environment=settings())
    yield manager
    manager.close()


@pytest.fixture(scope="module")
def app(manager: driver.Manager, tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(manager, tmp_path_factory.mktemp("apps"), "one", {"app.py": CLIENT}).start().ready()


def test_the_isolation_report_has_the_network(manager: driver.Manager) -> None:
    sandbox = manager.hello["isolation"]
    assert sandbox["mechanisms"]["network"] is True
    assert sandbox["network"] == {"way": "filtered", "notes": []}


def test_an_app_reaches_the_internet_from_the_machines_address(app: App) -> None:
    assert ask(app, f"/tcp/{PUBLIC}/{PORT}") == MACHINE
    assert ask(app, f"/udp/{PUBLIC}") == MACHINE


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.53", MACHINE, "10.99.0.2", PRIVATE, DNS, "169.254.169.254", "169.254.1.1",
             "192.168.7.1", "172.16.0.1", "100.64.0.1", "168.63.129.16", "224.0.0.1", "255.255.255.255", "0.0.0.0",
             "::1"]
)  # fmt: skip
def test_an_app_reaches_neither_private_addresses_nor_the_machine(app: App, host: str) -> None:
    # The machine and the hosts outside do answer on all these addresses, as the next test shows.
    assert ask(app, f"/tcp/{host}/{PORT}") in ("EHOSTUNREACH", "ECONNREFUSED", "ENETUNREACH", "EACCES")
    if ":" not in host:
        assert ask(app, f"/udp/{host}") in ("EHOSTUNREACH", "ECONNREFUSED", "ENETUNREACH", "EACCES", "timeout")


def test_the_machine_itself_reaches_those_addresses(world: World) -> None:
    def reach(host: str) -> str:
        with socket.create_connection((host, PORT), 3) as stream:
            return stream.recv(100).decode()

    for host in ("127.0.0.1", MACHINE, "10.99.0.2", PRIVATE):
        assert world.inside(world.machine, lambda host=host: reach(host))  # type: ignore[misc]


def test_one_app_does_not_reach_another(app: App, manager: driver.Manager, tmp_path: Path) -> None:
    other = App(manager, tmp_path, "two", {"app.py": CLIENT}).start().ready()
    address = ask(other, "/own")
    assert ask(other, "/udp-listen") is None
    assert ask(app, f"/udp/{address}") in ("EHOSTUNREACH", "timeout")
    assert ask(app, f"/tcp/{address}/{PORT}") == "EHOSTUNREACH"
    assert ask(other, "/bind/spot") is None
    assert ask(app, "/abstract/spot") == "ECONNREFUSED"
    other.kill()


def test_an_app_cannot_reach_an_abstract_socket_of_the_machine(app: App, world: World) -> None:
    line = world.inside(world.machine, lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    world.inside(world.machine, lambda: line.bind("\0fp-test-host"))
    assert ask(app, "/abstract/fp-test-host") == "ECONNREFUSED"
    line.close()


def test_names_are_resolved_although_the_dns_server_is_private(app: App) -> None:
    assert ask(app, "/name/public.test") == PUBLIC
    assert ask(app, "/name/nobody.test") == "no such name"
    # Apps may look up a private name, but they cannot reach its address.
    assert ask(app, f"/tcp/private.test/{PORT}") == "EHOSTUNREACH"


def test_binding_to_an_interface_does_not_bypass_the_rules(app: App) -> None:
    for host in (MACHINE, PRIVATE, "169.254.169.254"):
        assert ask(app, f"/bound/{host}") in ("EHOSTUNREACH", "ENETUNREACH", "timeout", "EPERM")


def roomy_listener(world: World, namespace: str) -> socket.socket:
    """A listener with a long backlog, so that every connection of a flood succeeds."""
    return world.inside(namespace, lambda: socket.create_server(("0.0.0.0", ROOMY), backlog=2000))


def test_a_flood_of_connections_stops_at_the_apps_limit(
    app: App, manager: driver.Manager, world: World, tmp_path: Path
) -> None:
    other = App(manager, tmp_path, "two", {"app.py": CLIENT}).start().ready()
    with roomy_listener(world, world.outside):
        assert 0 < ask(app, f"/flood/{PUBLIC}/{ROOMY}/700") <= 512
    assert ask(other, f"/tcp/{PUBLIC}/{PORT}") == MACHINE
    other.kill()


def test_a_flood_of_questions_does_not_block_other_apps(app: App, manager: driver.Manager, tmp_path: Path) -> None:
    other = App(manager, tmp_path, "two", {"app.py": CLIENT}).start().ready()
    assert ask(app, "/ask/3000") == 3000
    assert ask(other, "/name/public.test") == PUBLIC
    other.kill()


def test_lookups_over_tcp(app: App) -> None:
    assert ask(app, "/name-by-tcp/public.test") == PUBLIC


def test_the_mode_none_blocks_everything(world: World, tmp_path: Path) -> None:
    manager = driver.Manager(prefix=world.prefix(), environment=settings("none"))
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    assert ask(app, f"/tcp/{PUBLIC}/{PORT}") == "ENETUNREACH"
    assert ask(app, "/name/public.test") != PUBLIC
    assert ask(app, f"/tcp/127.0.0.1/{PORT}") == "ECONNREFUSED"
    manager.close()


def test_the_mode_list_allows_only_what_is_listed(world: World, tmp_path: Path) -> None:
    allowed = [{"network": f"{PRIVATE}/32", "port": PORT}, {"host": "public.test", "port": PORT}]
    manager = driver.Manager(prefix=world.prefix(), environment=settings("list", allowed))
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    assert ask(app, f"/tcp/{PRIVATE}/{PORT}") == "10.99.0.2"
    assert ask(app, f"/tcp/{PRIVATE}/53") == "EHOSTUNREACH"
    # The address is not listed, but the name is, and a lookup allows its address.
    assert ask(app, f"/tcp/{PUBLIC}/{PORT}") == "EHOSTUNREACH"
    assert ask(app, f"/tcp/public.test/{PORT}") == MACHINE
    assert ask(app, "/tcp/public.test/80") == "EHOSTUNREACH"
    assert ask(app, "/name/other.test") == "no such name"
    manager.close()


def connections(world: World, address: str) -> list[str]:
    """The TCP entries of an app in the machine's connection tracking: "… tcp 6 <seconds left> <state> src=…"."""
    lines = world.output("cat", "/proc/net/nf_conntrack").splitlines()
    return [line for line in lines if f"src={address} " in line and " tcp " in line]


def test_the_mode_internet_with_allowed_private_addresses(world: World, tmp_path: Path) -> None:
    allowed = [{"network": f"{MACHINE}/32", "port": port} for port in (PORT, ROOMY)]
    allowed.append({"host": "private.test", "port": None})
    manager = driver.Manager(prefix=world.prefix(), environment=settings("internet", allowed))
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    assert ask(app, f"/tcp/{PUBLIC}/{PORT}") == MACHINE
    assert ask(app, f"/tcp/{MACHINE}/{PORT}") == ask(app, "/own")
    assert ask(app, f"/tcp/private.test/{PORT}") == "10.99.0.2"
    # Connections to allowed addresses have the same limit and the same timeouts as others.
    closed = [line for line in connections(world, ask(app, "/own")) if "TIME_WAIT" in line]
    assert closed
    assert all(int(line.split()[4]) <= 10 for line in closed), closed
    with roomy_listener(world, world.machine):
        assert 0 < ask(app, f"/flood/{MACHINE}/{ROOMY}/700") <= 512
    manager.close()


def test_without_nft_ports_are_limited_and_the_report_says_so(world: World, tmp_path: Path) -> None:
    script = 'mount -t tmpfs none $(dirname $(command -v nft || echo /usr/sbin/nft)) && exec "$@"'
    prefix = (*world.prefix(), "unshare", "-m", "sh", "-c", script, "sh")
    manager = driver.Manager(prefix=prefix, environment=settings())
    sandbox = manager.hello["isolation"]
    missing = {entry["mechanism"]: entry["why"] for entry in sandbox["missing"]}
    assert "nftables" in missing["network"]
    assert sandbox["network"]["way"] == "shared"
    assert "53, 80, 443" in sandbox["network"]["notes"][0]
    assert sandbox["minimum"] is True
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    assert ask(app, f"/tcp/127.0.0.1/{PORT}") == "EACCES"
    # This port is allowed, but nothing listens on it.
    assert ask(app, "/tcp/127.0.0.1/80") == "ECONNREFUSED"
    line = world.inside(world.machine, lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    world.inside(world.machine, lambda: line.bind("\0fp-test-shared"))
    assert ask(app, "/abstract/fp-test-shared") == "EPERM"
    line.close()
    manager.close()


@pytest.mark.parametrize("mode", ["none", "list"])
def test_an_unenforceable_limit_does_not_fall_back_to_the_machines_network(mode: Literal["none", "list"]) -> None:
    apart, not_apart = Mechanisms(network=True), Mechanisms(why={"network": "no namespaces"})
    failed = NetworkReport("nft does not answer", ())
    assert access.choose(Settings(mode), not_apart, None) == access.NetworkAccess("refused", why="no namespaces")
    assert access.choose(Settings("internet"), not_apart, None).kind == "shared"
    assert access.choose(Settings("internet"), apart, failed).kind == "shared"
    refused = access.NetworkAccess("refused", why="nft does not answer")
    assert access.choose(Settings(mode), apart, failed) == (
        access.NetworkAccess("isolated") if mode == "none" else refused
    )
    assert access.NetworkAccess("refused", why="x").reported(apart).network is False


def test_no_app_runs_if_the_list_cannot_be_enforced(world: World, tmp_path: Path) -> None:
    script = 'mount -t tmpfs none $(dirname $(command -v nft || echo /usr/sbin/nft)) && exec "$@"'
    prefix = (*world.prefix(), "unshare", "-m", "sh", "-c", script, "sh")
    allowed = [{"host": "public.test", "port": PORT}]
    manager = driver.Manager(prefix=prefix, environment=settings("list", allowed))
    assert manager.hello["isolation"]["network"]["way"] == "refused"
    failure = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().failed()
    assert "cannot isolate apps" in failure["message"]
    manager.close()


def test_mongodbs_socket_is_in_the_apps_root(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "mongodb"
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "mongodb.sock"))
    listener.listen()
    os.chmod(folder / "mongodb.sock", 0o777)
    manager = driver.Manager(prefix=world.prefix(), environment=settings("none", mongodb=str(folder)))
    code = """
        import os, socket
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def connect():
            with socket.socket(socket.AF_UNIX) as line:
                line.connect("/run/mongodb/mongodb.sock")
            return os.listdir("/run/mongodb")
    """
    app = App(manager, tmp_path, "one", {"app.py": code}).start().ready()
    assert ask(app, "/") == ["mongodb.sock"]
    manager.close()
    listener.close()
