"""Where groups are created, and which existing groups are removed."""

import os
from pathlib import Path

import pytest

from fp_runner import cgroups, probe


def test_only_groups_of_managers_that_have_ended_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Plain folders are enough, because only their names matter.
    alive = f"fp-{os.getpid()}-{cgroups._start_time(os.getpid())}"
    others = ["fp-backup", "fp-1", "fp-12-34-56", alive]
    for name in [*others, f"fp-{os.getpid()}-1"]:
        (tmp_path / name).mkdir()
    cgroups._make_folder(str(tmp_path), os.getpid(), 1)
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_only_the_first_usable_mount_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [tmp_path / "first", tmp_path / "second"]
    for point in points:
        point.mkdir()
    mounts = [cgroups._Mount(str(point), "/", frozenset({"pids"}), 1) for point in points]
    monkeypatch.setattr(cgroups, "_mounts", lambda: iter(mounts))
    monkeypatch.setattr(cgroups, "_own_groups", dict)
    groups = cgroups.detect(os.getpid())
    assert groups.folders["pids"].startswith(str(points[0]))
    assert os.listdir(points[1]) == []


def test_the_probe_gives_up_a_group_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(cgroups.Cgroups):
        def remove(self, name: str) -> bool:
            return False

    monkeypatch.setattr(probe, "_REMOVAL_PAUSE", 0)
    monkeypatch.setattr(probe, "Cgroups", Stuck)
    groups = cgroups.Cgroups({"pids": str(tmp_path)}, {"pids": 1})
    why: dict[str, str] = {}
    assert probe._try_group("pids", groups, why) is False
    assert why == {"pids_cgroup": "a group could not be removed"}
    assert groups.folders == {}


@pytest.mark.parametrize(("version", "fields"), [(1, ["total_rss", "total_shmem"]), (2, ["anon", "shmem"])])
def test_the_platform_is_told_where_to_read_the_memory_of_all_apps(version: int, fields: list[str]) -> None:
    groups = cgroups.Cgroups({"memory": "/groups/apps"}, {"memory": version})
    memory = groups.apps_memory()
    assert memory is not None
    assert (memory["file"], memory["fields"]) == ("/groups/apps/memory.stat", fields)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert isinstance(memory["limit"], int)
    assert 0 < memory["limit"] < machine
    assert cgroups.Cgroups().apps_memory() is None
