"""All users get the same share of the CPU: the weights of the apps' groups, and the groups of the platform's
processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import driver
from conftest import App
from fp_runner.cgroups import Cgroups
from fp_runner.cpu_shares import CpuShares

APP = {"app.py": "from fastapi import FastAPI\napp = FastAPI()\n"}


def test_a_users_weight_is_divided_among_their_apps(tmp_path: Path) -> None:
    # Files as in cgroup version 2, which this machine may not have.
    apps = tmp_path / "apps"
    for name in ("a1", "a2", "b1"):
        (apps / name).mkdir(parents=True)
        (apps / name / "cpu.weight").write_text("100")
    shares = CpuShares(Cgroups({"cpu": str(apps)}, {"cpu": 2}))

    def weights() -> list[int]:
        return [int((apps / name / "cpu.weight").read_text()) for name in ("a1", "a2", "b1")]

    shares.add("ann", "a1")
    shares.add("bob", "b1")
    assert weights() == [1000, 100, 1000]
    shares.add("ann", "a2")
    assert weights() == [500, 500, 1000]
    shares.remove("a1")
    shares.remove("a1")
    assert weights()[1:] == [1000, 1000]


@pytest.mark.parametrize(("version", "limit"), [(1, "memory.limit_in_bytes"), (2, "memory.max")])
def test_mongodb_may_use_at_most_half_of_the_memory(tmp_path: Path, version: int, limit: str) -> None:
    group = tmp_path / "mongodb"
    group.mkdir()
    for name in ("cgroup.procs", "memory.limit_in_bytes", "memory.max"):
        (group / name).write_text("")
    Cgroups({"memory": str(tmp_path / "apps")}, {"memory": version}).place("mongodb", 7)
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    assert (group / limit).read_text() == str(half)
    assert (group / "cgroup.procs").read_text() == "7"


@pytest.fixture
def manager() -> Iterator[driver.Manager]:
    manager = driver.Manager()
    if not manager.hello["isolation"]["mechanisms"]["cpu_cgroup"]:
        pytest.skip("no cpu controller here")
    yield manager
    manager.close()


def _quota(group: str) -> float:
    """In CPU cores."""
    for folder in (
        Path(f"/sys/fs/cgroup{group}"),
        *(Path(f"{mount}{group}") for mount in Path("/sys/fs/cgroup").glob("*")),
    ):
        if (file := folder / "cpu.max").exists():
            quota, period = file.read_text().split()
            return int(quota) / int(period)
        if (file := folder / "cpu.cfs_quota_us").exists():
            return int(file.read_text()) / int((folder / "cpu.cfs_period_us").read_text())
    raise AssertionError(f"{group} has no quota")


def _group(pid: int) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names in ("", "cpu", "cpu,cpuacct") and "/fp-" in path:
            return path
    return ""


def _weight(manager: driver.Manager, group: str) -> int:
    for mount in Path("/sys/fs/cgroup").glob("*"):
        for name in ("cpu.shares", "cpu.weight"):
            if (file := Path(f"{mount}{group}/{name}")).exists():
                return int(file.read_text())
    return int(Path(f"/sys/fs/cgroup{group}/cpu.weight").read_text())


def test_each_app_has_a_group_and_each_user_the_same_weight(manager: driver.Manager, tmp_path: Path) -> None:
    users = {"a1": "ann", "a2": "ann", "b1": "bob"}
    apps = {name: App(manager, tmp_path, name, APP).start(user=user).ready() for name, user in users.items()}
    groups = {name: _group(manager.wait("started", id=app.id)["pid"]) for name, app in apps.items()}
    assert len(set(groups.values())) == 3
    weights = {name: _weight(manager, group) for name, group in groups.items()}
    assert weights["a1"] == weights["a2"] == weights["b1"] // 2
    apps["a1"].kill()
    # The event "exited" comes before the weights are divided again.
    driver.until(lambda: _weight(manager, groups["a2"]) == weights["b1"], "the new division")


def test_the_platform_and_the_database_outweigh_all_apps_together(manager: driver.Manager, tmp_path: Path) -> None:
    app = App(manager, tmp_path, "one", APP).start().ready()
    apps = os.path.dirname(_group(manager.wait("started", id=app.id)["pid"]))
    own = os.path.dirname(apps)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as database:
        manager.send({"op": "place", "group": "mongodb", "pid": database.pid})
        driver.until(lambda: _group(database.pid) == f"{own}/mongodb", "the move of the database")
        assert _weight(manager, f"{own}/mongodb") > _weight(manager, apps)
        manager.send({"op": "place", "group": "platform", "pid": manager.process.pid})
        driver.until(lambda: _group(manager.process.pid) == f"{own}/platform", "the move of the manager")
        # The zygote and the manager are in the group, because waking an app must not wait for other apps.
        manager.close()
        assert _group(database.pid) == ""
        database.communicate(b"\n")


def test_an_app_is_ended_before_the_platform_when_memory_runs_out(manager: driver.Manager, tmp_path: Path) -> None:
    app = App(manager, tmp_path, "one", APP).start().ready()
    pid = manager.wait("started", id=app.id)["pid"]
    score = Path(f"/proc/{pid}/oom_score_adj").read_text()
    assert int(score) > int(Path(f"/proc/{manager.process.pid}/oom_score_adj").read_text())


def test_an_app_with_a_cpu_limit_has_a_quota(manager: driver.Manager, tmp_path: Path) -> None:
    app = App(manager, tmp_path, "half", APP).start(limits={"cpus": 0.5}).ready()
    pid = manager.wait("started", id=app.id)["pid"]
    assert _quota(_group(pid)) == 0.5
