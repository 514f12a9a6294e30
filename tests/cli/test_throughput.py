"""`bench --throughput` finds how to use a machine, and `serve --workers auto` follows it."""

import json

import pytest
from click.testing import CliRunner

from adagen_rt.cli import main
from adagen_rt.cli.support import throughput
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError
from adagen_rt.evaluation import kept_rates
from adagen_rt.evaluation import throughput as measured
from adagen_rt.evaluation.kept_rates import FILE, find_rate, keep_rate
from adagen_rt.evaluation.throughput import Rate, Split, Task, list_splits, measure_rates
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.system import available_threads, cache_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path))


def bench(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments), "--throughput"])


def test_threads_are_dealt_out_evenly():
    assert list_splits(1) == [Split(1, 1)]
    assert list_splits(6) == [Split(1, 6), Split(2, 3), Split(3, 2), Split(6, 1)]


def test_processes_generate_at_once(tiny_engine):
    params = SamplingParams().check(open_engine(tiny_engine).manifest)
    task = Task(tiny_engine, params, batches=(1, 4), seconds=0.05)
    rates = list(measure_rates(task, [Split(1, 2), Split(2, 1)]))
    assert [(rate.split.processes, rate.batch) for rate in rates] == [
        (1, 1),
        (1, 4),
        (2, 1),
        (2, 4),
    ]
    assert all(rate.images_per_second > 0 for rate in rates)


def test_a_process_that_cannot_generate_says_why(tiny_engine, tmp_path):
    params = SamplingParams().check(open_engine(tiny_engine).manifest)
    (broken := tmp_path / "broken").mkdir()
    (broken / "manifest.json").write_text("{}")
    with pytest.raises(EngineError, match="broken"):
        list(measure_rates(Task(broken, params), [Split(2, 1)]))


def test_the_best_is_told_and_kept(tiny_engine, monkeypatch):
    engine, threads = open_engine(tiny_engine), available_threads()
    monkeypatch.setattr(
        throughput,
        "measure_rates",
        lambda task, splits: [
            Rate(split, batch, 10.0 * split.processes + batch)
            for split in splits
            for batch in task.batches
        ],
    )
    done = bench(tiny_engine, "--batch", "1,2", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    best = {"processes": threads, "threads": 1, "batch": 2, "images_per_second": 10 * threads + 2.0}
    assert told["best"] == best
    assert len(told["results"]) == 2 * len(list_splits(threads))
    kept = find_rate(engine.hash)
    assert kept == Rate(Split(threads, 1), 2, 10 * threads + 2.0)
    page = bench(tiny_engine, "--batch", "1,2").output
    assert f"best: {'1 process' if threads == 1 else f'{threads} processes'} of 1 thread" in page
    assert throughput.count_workers([engine]) == threads


def test_a_server_measures_what_is_not_known(tiny_engine, monkeypatch):
    engine, asked = open_engine(tiny_engine), []

    def measure(task, splits):
        asked.append(task.engine)
        return [Rate(Split(3, 1), 8, 5.0), Rate(Split(1, 3), 8, 4.0)]

    monkeypatch.setattr(throughput, "measure_rates", measure)
    assert throughput.count_workers([engine]) == 3
    assert throughput.count_workers([engine]) == 3
    assert asked == [engine.path]


def test_the_slowest_engine_counts(tiny_engine, monkeypatch):
    engine = open_engine(tiny_engine)
    keep_rate("slow", Rate(Split(1, 2), 4, 3.0))
    keep_rate("fast", Rate(Split(2, 1), 4, 300.0))
    found = [engine.__class__(engine.path, engine.manifest, key) for key in ("fast", "slow")]
    assert throughput.count_workers(found) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}'])
def test_a_damaged_cache_is_no_cache(content):
    cache_folder().mkdir(parents=True)
    (cache_folder() / FILE).write_text(content)
    assert find_rate("x") is None
    keep_rate("x", Rate(Split(1, 1), 1, 1.0))
    assert find_rate("x") == Rate(Split(1, 1), 1, 1.0)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (("--profile",), "profile"),
        (("--plot", "a.png"), "plot"),
        (("--backend", "openvino"), "onnxruntime on the CPU"),
        (("--batch", "0"), "batch"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny_engine, extra, told):
    done = bench(tiny_engine, *extra)
    assert done.exit_code == 2
    assert told in done.stderr


@pytest.mark.parametrize("given", ["0", "many", "257", "1.5", ""])
def test_workers_are_a_number_or_auto(given):
    done = CliRunner().invoke(main, ["serve", "fashion-dit", "--workers", given])
    assert done.exit_code == 2
    assert "workers" in done.stderr


def test_auto_is_of_onnx_runtime_s_cpu():
    pytest.importorskip("fastapi")
    given = ["serve", "fashion-dit", "--workers", "auto", "--backend", "openvino"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 2
    assert "workers: got 'auto'" in done.stderr


def test_seconds_are_as_long_as_they_say():
    calls = []
    assert measured._rate(calls.append, 3, 0.02) > 0
    assert calls == list(range(1, len(calls) + 1))


def test_rates_of_other_versions_do_not_count(monkeypatch):
    rate = Rate(Split(2, 1), 4, 10.0)
    keep_rate("hash", rate)
    assert find_rate("hash") == rate
    monkeypatch.setattr(kept_rates, "installed_versions", lambda *names: {"onnxruntime": "1.0"})
    assert find_rate("hash") is None
