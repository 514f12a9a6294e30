"""The dry run of the GPU check runs on the host what a GPU would run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


def check(*arguments):
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_dry_run_passes_and_says_what_it_skips():
    result = check("--dry-run", "--quick")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    outcomes = {}
    for row in report["results"]:
        outcomes.setdefault(row["section"], set()).add(row["outcome"])
    assert report["dry_run"]
    assert outcomes == {
        "kernels": {"passed"},
        "engines": {"passed"},
        "backends": {"skipped"},
        "bundle": {"skipped"},
        "sync": {"passed"},
        "sanitizer": {"skipped"},
        "parts": {"skipped"},
        "latency": {"skipped"},
    }


def test_an_unknown_section_is_one_clear_line():
    result = check("--dry-run", "--sections", "kernels,speed")
    assert result.returncode == 2
    assert (
        "speed: expected kernels, engines, backends, bundle, sync, sanitizer, parts, latency"
        in result.stderr
    )


def test_nothing_begins_when_the_minutes_are_over():
    result = check("--dry-run", "--minutes", "0", "--sections", "kernels,latency")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert [tuple(row.values()) for row in report["results"]] == [
        (section, "the rest", "skipped", "the minutes are over")
        for section in ("kernels", "latency")
    ]
