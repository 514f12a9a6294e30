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
        (("--engines", "fashion-dit,var-d16"), "cache: got None, expected a folder"),
        (("--quick", "--contenders", "fp32,tortoise"), "contenders: got 'tortoise'"),
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


def fake_compare(name, cache, threads, repeats, contenders):
    return [
        {"engine": name, "contender": kind, "seconds": 1.0, "eager_over": 2.0}
        for kind in contenders
    ]


def run_quick(*arguments):
    import latency

    done = CliRunner().invoke(latency.main, ["--quick", *arguments])
    assert done.exit_code == 0, done.output
    return done, json.loads(done.stdout.splitlines()[-1])["results"]


def test_rows_come_one_by_one_and_the_last_line_is_json(monkeypatch, tmp_path):
    import latency

    pytest.importorskip("matplotlib", reason="needs the extra plot")
    monkeypatch.setattr(latency, "compare", fake_compare)
    plot = tmp_path / "ratios.png"
    done, results = run_quick("--plot", str(plot))
    expected = [(name, kind) for name in latency.SHIPPED for kind in ("fp32", "eager")]
    assert [(row["engine"], row["contender"]) for row in results] == expected
    assert [tuple(line.split(":")[0].split()) for line in done.stderr.splitlines()] == expected
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_engines_whose_rows_were_kept_are_not_measured_again(monkeypatch, tmp_path):
    import latency

    kept = tmp_path / "rows.jsonl"
    monkeypatch.setattr(latency, "compare", fake_compare)
    run_quick("--keep", str(kept), "--engines", "fashion-dit")
    measured = []
    monkeypatch.setattr(
        latency, "compare", lambda name, *rest: measured.append(name) or fake_compare(name, *rest)
    )
    _, results = run_quick("--keep", str(kept), "--engines", "fashion-dit,fashion-var")
    assert measured == ["fashion-var"]
    assert [row["engine"] for row in results] == ["fashion-dit"] * 2 + ["fashion-var"] * 2


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
        one.call("make")
        assert made.is_dir()
        before = one.peak
        one.call("grow")
        assert one.peak > before + 0.05
        assert one.value == b"x" * 10**8
        assert one.cpu > 0


def test_bare_products_are_of_both_dtypes():
    from bare import bare_product

    for dtype in ("fp32", "int8"):
        bare_product(dtype, 1)["generate"]()


def test_rates_are_of_the_networks_operations_and_over_the_bare_products():
    from bare import FLOPS
    from latency import roofline

    assert roofline(None, 1.0, 1.0) == {"gflops": None, "of_bare": None}
    rates = roofline(FLOPS / 4, 2.0, 1.0)
    assert rates == {"gflops": pytest.approx(FLOPS / 8e9), "of_bare": pytest.approx(1 / 8)}


@needs_linux
def test_a_worker_that_dies_is_noticed():
    from worker import Worker

    with Worker(partial(dict, die=partial(os._exit, 3))) as one, pytest.raises(EOFError):
        one.call("die")
