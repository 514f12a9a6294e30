"""The command `bulk`, run in the test's own process."""

import pytest
from bulk_job import COUNT, SIZE
from click.testing import CliRunner

from adagen_rt.bulk.ranks import LAUNCHERS
from adagen_rt.cli import main


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    """Whoever runs the tests numbers no process of theirs."""
    for launcher in LAUNCHERS:
        monkeypatch.delenv(launcher.rank, raising=False)


@pytest.fixture
def bulk(tiny_engine, tmp_path, monkeypatch):
    """Returns a function that runs the job with more options, and gives click's result."""
    monkeypatch.chdir(tmp_path)

    def invoke(*more, engine=tiny_engine, status=0):
        job = ["--count", COUNT, "--shard-size", SIZE, "--threads", 1, "--out", "out"]
        done = CliRunner().invoke(main, ["bulk", str(engine), *map(str, [*job, *more])])
        assert done.exit_code == status, done.output
        if status == 2:
            assert done.stderr.startswith("Error: ")
            assert done.stderr.count("\n") == 1
        return done

    return invoke
