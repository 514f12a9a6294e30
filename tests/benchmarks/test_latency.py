"""How the latency benchmark is asked, and the processes that it times."""

import json
import operator
import os
import sys
from functools import partial

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--quick", "--engines", "dit-xl-2"), "engines: got 'dit-xl-2'"),
        (("--engines", "fashion-dit,hat", "--cache", "c"), "engines: got 'hat'"),
        (("--engines", "fashion-dit,var-d16"), "a folder for var-d16"),
        (("--quick", "--threads", "0"), "threads: got 0"),
        (("--quick", "--repeats", "1"), "--repeats"),
        (("--quick", "--plot", "."), "plot"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments, named, monkeypatch, tmp_path):
    import latency

    monkeypatch.setattr(latency, "compare", lambda *_: pytest.fail("it ran"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(latency.main, arguments)
    assert done.exit_code == 2
    assert named in done.stderr


def test_rows_come_one_by_one_and_the_last_line_is_json(monkeypatch, tmp_path):
    import latency

    pytest.importorskip("matplotlib", reason="needs the extra plot")
    row = {"over_eager": 2.0, "spread": 0.1}
    monkeypatch.setattr(latency, "compare", lambda name, *_: {"engine": name, **row})
    plot = tmp_path / "ratios.png"
    done = CliRunner().invoke(latency.main, ["--quick", "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == list(latency.SHIPPED)
    record = json.loads(done.stdout.splitlines()[-1])
    assert [result["engine"] for result in record["results"]] == list(latency.SHIPPED)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_spread_of_known_times():
    from latency import spread

    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == pytest.approx(2 / 3)


def test_turns_are_interleaved_and_warmups_are_not_counted():
    from timing import interleaved_seconds

    turns = []
    calls = {name: partial(turns.append, name) for name in "AB"}
    seconds = interleaved_seconds(calls, repeats=2, warmups=1)
    assert "".join(turns) == "ABABAB"
    assert {name: len(times) for name, times in seconds.items()} == {"A": 2, "B": 2}


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_linux
def test_a_worker_runs_in_a_process_of_its_own_and_says_how_much_memory_it_took(tmp_path):
    from worker import Worker

    made = tmp_path / "made"
    with Worker(
        partial(dict, make=partial(os.mkdir, made), grow=partial(operator.mul, b"x", 10**8))
    ) as one:
        before = one.call("make")
        assert made.is_dir()
        assert one.call("grow") > before + 0.05


@needs_linux
def test_a_worker_that_dies_is_noticed():
    from worker import Worker

    with Worker(partial(dict, die=partial(os._exit, 3))) as one, pytest.raises(EOFError):
        one.call("die")
