"""The processes behind apps' networks: what is left when they end, and what they survive."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import driver
from conftest import App
from fp_runner.network import firewall
from network_client import CLIENT, ask, gone, helpers_of, settings, traces
from world import MACHINE, PORT, PUBLIC, World

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or firewall.program() is None or shutil.which("ip") is None,
    reason="joining networks needs root, nftables and iproute2",
)


def links(world: World) -> list[str]:
    """The names of the machine's interfaces."""
    return [entry["ifname"] for entry in json.loads(world.output("ip", "-j", "link"))]


def link_of(app: App, world: World) -> str:
    """The machine's end of an app's pair."""
    (route,) = json.loads(world.output("ip", "-j", "route", "get", ask(app, "/own")))
    name: str = route["dev"]
    return name


def resolvers(manager: driver.Manager) -> list[int]:
    return [pid for pid in helpers_of(manager) if os.stat(f"/proc/{pid}").st_uid != 0]


def held(pid: int) -> list[str]:
    """What the descriptors of a process are of."""
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def unix_sockets(pid: int) -> set[str]:
    """Those a process has, of its own namespace: channels, but no socket in the network of an app."""
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines} & set(held(pid))


@pytest.fixture
def empty_world(tmp_path: Path) -> Iterator[World]:
    """One in which no other platform runs."""
    world = World(tmp_path)
    yield world
    world.close()


def test_nothing_is_left_after_the_end(empty_world: World, tmp_path: Path) -> None:
    before = traces(empty_world)
    assert before == ["", "0"]
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    during = traces(empty_world)
    assert "fp0-" in during[0]
    assert during[-2:] == ["table inet fp_0\ntable inet fp_forwarding", "1"]
    manager.close()
    assert traces(empty_world) == before


def test_nothing_is_left_after_the_runner_is_killed(empty_world: World, tmp_path: Path) -> None:
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    helpers = helpers_of(manager)
    assert len(helpers) == 3
    manager.process.kill()
    manager.close()
    gone(helpers)
    assert traces(empty_world) == ["", "0"]


def test_the_next_start_removes_what_a_killed_helper_left(empty_world: World, tmp_path: Path) -> None:
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    helpers = helpers_of(manager)
    for pid in [*helpers, manager.process.pid]:
        os.kill(pid, signal.SIGKILL)
    manager.close()
    gone(helpers)
    # The rules outlive it: were they gone first, an app that still runs would be passed on without them.
    assert "table inet fp_0" in traces(empty_world)[-2]
    driver.Manager(prefix=empty_world.prefix(), environment=settings("none")).close()
    driver.Manager(prefix=empty_world.prefix(), environment=settings()).close()
    assert traces(empty_world) == ["", "0"]


def test_two_platforms_share_a_machine(empty_world: World, tmp_path: Path) -> None:
    one = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    two = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    first = App(one, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    second = App(two, tmp_path, "two", {"app.py": CLIENT}).start().ready()
    # Whose rules see it first is the kernel's choice: one answers, the other drops.
    assert ask(first, f"/tcp/{ask(second, '/own')}/{PORT}") in ("EHOSTUNREACH", "timeout")
    one.close()
    assert ask(second, f"/tcp/{PUBLIC}/{PORT}") == MACHINE
    two.close()
    assert traces(empty_world) == ["", "0"]


def test_a_resolver_that_ends_is_replaced(empty_world: World, tmp_path: Path) -> None:
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    assert ask(app, "/name/public.test") == PUBLIC
    (resolver,) = resolvers(manager)
    os.kill(resolver, signal.SIGKILL)
    gone([resolver])
    assert ask(app, "/name/public.test") == PUBLIC
    # Neither the new resolver nor anything else keeps the network of an app that has ended.
    link = link_of(app, empty_world)
    assert link in links(empty_world)
    app.kill()
    driver.until(lambda: link not in links(empty_world), f"the end of {link}")
    manager.close()


def test_a_resolver_has_no_descriptors_but_its_own(empty_world: World, tmp_path: Path) -> None:
    """A network lives as long as a socket in it, and whoever holds the helper's channel could speak for it."""
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    (first,) = resolvers(manager)
    os.kill(first, signal.SIGKILL)
    gone([first])
    driver.until(lambda: resolvers(manager) not in ([], [first]), "another resolver")
    (second,) = resolvers(manager)

    others = {inode for pid in helpers_of(manager) if pid != second for inode in unix_sockets(pid)}

    def has_only_its_own() -> bool:
        return not others & unix_sockets(second) and not [name for name in held(second) if name.startswith("net:")]

    # Just after the fork, the resolver has those of the helper process.
    driver.until(has_only_its_own, "a resolver without the helper process's descriptors")
    manager.close()


def test_a_firewall_that_fails_costs_one_answer_and_ends_nothing(empty_world: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    program = firewall.program()
    assert program is not None
    shutil.copy(program, tmp_path / "nft")
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n[ -e {broken} ] && exit 1\nexec {tmp_path}/nft "$@"\n')
    wrapper.chmod(0o755)
    prefix = (
        *empty_world.prefix(),
        "unshare",
        "-m",
        "sh",
        "-c",
        f'mount --bind {wrapper} {program} && exec "$@"',
        "sh",
    )
    allowed = [{"host": "public.test", "port": PORT}]
    manager = driver.Manager(prefix=prefix, environment=settings("list", allowed))
    app = App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    before = set(helpers_of(manager))
    broken.touch()
    assert ask(app, "/name/public.test") not in (PUBLIC, "no such name")
    broken.unlink()
    assert ask(app, f"/tcp/public.test/{PORT}") == MACHINE
    assert before <= set(helpers_of(manager))
    manager.close()


def test_an_interface_that_only_begins_like_ours_is_of_the_machine(empty_world: World) -> None:
    """Its network is in use, and nothing is passed on for it."""
    empty_world.output("ip", "link", "add", "fpga0", "type", "veth", "peer", "name", "fpga1")
    empty_world.output("ip", "link", "set", "fpga0", "up")
    empty_world.output("ip", "route", "add", "10.213.0.0/16", "dev", "fpga0")
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    assert "172.29.0.0" in empty_world.output("nft", "list", "table", "inet", "fp_0")
    rules = empty_world.output("nft", "list", "table", "inet", "fp_forwarding")
    assert '"fp0-*"' in rules
    assert '"fp*"' not in rules
    manager.close()


def test_a_machine_that_was_no_router_does_not_become_one(empty_world: World) -> None:
    """Its neighbours could else send through it into its other networks."""
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    empty_world.add_network_behind("10.98.0.1", "10.98.0.2")

    def reach() -> str:
        with socket.create_connection(("10.98.0.2", PORT), 1) as stream:
            return stream.recv(100).decode()

    with pytest.raises(OSError):
        empty_world.inside(empty_world.outside, reach)
    # It is the rule that prevents it.
    empty_world.output("nft", "delete", "table", "inet", "fp_forwarding")
    assert empty_world.inside(empty_world.outside, reach) == PUBLIC
    manager.close()
