"""CPU limits of containers, as either version of Linux's interface tells them."""

import os

import pytest

from adagen_rt import system
from adagen_rt.system import available_threads, cpu_quota


@pytest.fixture
def tree(tmp_path):
    """Returns a function that writes files of cgroups and gives the quota of a process."""

    def quota(lines, **files):
        process = tmp_path / "cgroup"
        process.write_text(lines)
        for name, content in files.items():
            path = tmp_path / "root" / name.replace("__", "/").replace("cpu_", "cpu.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return cpu_quota(process, tmp_path / "root")

    return quota


@pytest.mark.parametrize(
    ("content", "expected"),
    [("20000 100000\n", 0.2), ("max 100000\n", None), ("250000 100000\n", 2.5), ("", None)],
)
def test_version_2(tree, content, expected):
    assert tree("0::/a/b\n", a__b__cpu_max=content) == expected


def test_the_smallest_limit_above_counts(tree):
    files = {"a__cpu_max": "100000 100000", "a__b__cpu_max": "300000 100000"}
    assert tree("0::/a/b\n", **files) == 1.0


def test_a_container_sees_its_own_group_as_the_root(tree):
    assert tree("0::/\n", cpu_max="50000 100000") == 0.5
    assert tree("0::/docker/123\n", cpu_max="50000 100000") == 0.5


def test_version_1(tree):
    files = {"cpu__a__cpu_cfs_quota_us": "20000", "cpu__a__cpu_cfs_period_us": "100000"}
    assert tree("3:cpuset:/x\n2:cpu,cpuacct:/a\n0::/\n", **files) == 0.2


def test_version_1_without_a_limit(tree):
    files = {"cpu__a__cpu_cfs_quota_us": "-1", "cpu__a__cpu_cfs_period_us": "100000"}
    assert tree("2:cpu:/a\n", **files) is None


def test_no_such_system(tmp_path):
    assert cpu_quota(tmp_path / "nothing", tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (0.2, 1), (2.5, 3), (64.0, 8)])
def test_threads(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(system, "cpu_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert available_threads() == expected


@pytest.mark.parametrize(
    ("told", "expected"), [("3", 3), (" 2,4", 2), ("64", 8), ("0", 1), ("", 8), ("dynamic", 8)]
)
def test_threads_that_a_launcher_grants(monkeypatch, told, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(system, "cpu_quota", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert available_threads() == expected
