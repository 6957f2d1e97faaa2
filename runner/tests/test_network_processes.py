"""The processes behind the networks of apps: what they leave behind, and which failures they survive."""

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
from network_client import CLIENT, ask, helpers_of, settings, traces, wait_until_ended
from world import MACHINE, PORT, PUBLIC, World

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or firewall.program() is None or shutil.which("ip") is None,
    reason="joining networks needs root, nftables and iproute2",
)


def links(world: World) -> list[str]:
    """The names of the machine's interfaces."""
    return [entry["ifname"] for entry in json.loads(world.output("ip", "-j", "link"))]


def link_of(app: App, world: World) -> str:
    """The machine's end of an app's veth pair."""
    (route,) = json.loads(world.output("ip", "-j", "route", "get", ask(app, "/own")))
    name: str = route["dev"]
    return name


def resolvers(manager: driver.Manager) -> list[int]:
    return [pid for pid in helpers_of(manager) if os.stat(f"/proc/{pid}").st_uid != 0]


def held(pid: int) -> list[str]:
    """What the descriptors of a process refer to."""
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def unix_sockets(pid: int) -> set[str]:
    """The unix sockets of a process in its own network namespace, such as channels, but not sockets in an app's
    network."""
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines} & set(held(pid))


@pytest.fixture
def empty_world(tmp_path: Path) -> Iterator[World]:
    """A world in which no other platform runs."""
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
    wait_until_ended(helpers)
    assert traces(empty_world) == ["", "0"]


def test_the_next_start_removes_what_a_killed_helper_left(empty_world: World, tmp_path: Path) -> None:
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    helpers = helpers_of(manager)
    for pid in [*helpers, manager.process.pid]:
        os.kill(pid, signal.SIGKILL)
    manager.close()
    wait_until_ended(helpers)
    # The rules remain: if they were removed first, packets of an app that still runs would be forwarded without them.
    assert "table inet fp_0" in traces(empty_world)[-2]
    driver.Manager(prefix=empty_world.prefix(), environment=settings("none")).close()
    driver.Manager(prefix=empty_world.prefix(), environment=settings()).close()
    assert traces(empty_world) == ["", "0"]


def test_two_platforms_share_a_machine(empty_world: World, tmp_path: Path) -> None:
    one = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    two = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    first = App(one, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    second = App(two, tmp_path, "two", {"app.py": CLIENT}).start().ready()
    # The kernel decides whose rules see the packet first. One platform answers, the other drops the packet.
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
    wait_until_ended([resolver])
    assert ask(app, "/name/public.test") == PUBLIC
    # Neither the new resolver nor another process keeps the network of an app that has ended.
    link = link_of(app, empty_world)
    assert link in links(empty_world)
    app.kill()
    driver.until(lambda: link not in links(empty_world), f"the end of {link}")
    manager.close()


def test_a_resolver_has_only_its_own_descriptors(empty_world: World, tmp_path: Path) -> None:
    """A socket keeps its network alive, and a process with the helper's channel could send requests in its name."""
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    App(manager, tmp_path, "one", {"app.py": CLIENT}).start().ready()
    (first,) = resolvers(manager)
    os.kill(first, signal.SIGKILL)
    wait_until_ended([first])
    driver.until(lambda: resolvers(manager) not in ([], [first]), "another resolver")
    (second,) = resolvers(manager)

    others = {inode for pid in helpers_of(manager) if pid != second for inode in unix_sockets(pid)}

    def has_only_its_own() -> bool:
        return not others & unix_sockets(second) and not [name for name in held(second) if name.startswith("net:")]

    # Just after the fork, the resolver still has the helper process's descriptors.
    driver.until(has_only_its_own, "a resolver without the helper process's descriptors")
    manager.close()


def test_a_failing_firewall_fails_one_lookup_and_ends_no_process(empty_world: World, tmp_path: Path) -> None:
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


def test_an_interface_with_a_similar_prefix_belongs_to_the_machine(empty_world: World) -> None:
    """Its network counts as in use, and no packets are forwarded for it."""
    empty_world.output("ip", "link", "add", "fpga0", "type", "veth", "peer", "name", "fpga1")
    empty_world.output("ip", "link", "set", "fpga0", "up")
    empty_world.output("ip", "route", "add", "10.213.0.0/16", "dev", "fpga0")
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    assert "172.29.0.0" in empty_world.output("nft", "list", "table", "inet", "fp_0")
    rules = empty_world.output("nft", "list", "table", "inet", "fp_forwarding")
    assert '"fp0-*"' in rules
    assert '"fp*"' not in rules
    manager.close()


def test_a_machine_does_not_become_a_router_for_others(empty_world: World) -> None:
    """Otherwise its neighbours could send packets through it into its other networks."""
    manager = driver.Manager(prefix=empty_world.prefix(), environment=settings())
    empty_world.add_network_behind("10.98.0.1", "10.98.0.2")

    def reach() -> str:
        with socket.create_connection(("10.98.0.2", PORT), 1) as stream:
            return stream.recv(100).decode()

    with pytest.raises(OSError):
        empty_world.inside(empty_world.outside, reach)
    # Without the rule, the host can be reached.
    empty_world.output("nft", "delete", "table", "inet", "fp_forwarding")
    assert empty_world.inside(empty_world.outside, reach) == PUBLIC
    manager.close()
