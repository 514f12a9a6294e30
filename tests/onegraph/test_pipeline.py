"""The backend that makes one graph of a whole generation."""

import numpy as np
import pytest
from click.testing import CliRunner

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.errors import InputError
from adagen_rt.onegraph import pipeline as one_graph
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.serving import BatchEngine
from adagen_rt.system import cache_folder

LABELS, SEEDS = [0, 1, 2], [5, 6, 2**63 - 1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path))


def kept():
    return sorted((cache_folder() / "graphs").glob("*.onnx"))


def test_images_are_those_of_the_steps(tiny_engine):
    plain = adagen_rt.load(tiny_engine, threads=1).generate(LABELS, SEEDS)
    with adagen_rt.load(tiny_engine, backend="one-graph", threads=1) as pipeline:
        made = pipeline.generate(LABELS, SEEDS)
    assert np.abs(made.images.astype(int) - plain.images).max() <= 1
    for name, values in plain.schedule.items():
        np.testing.assert_allclose(made.schedule[name], values, rtol=1e-4, atol=1e-5)
    assert np.array_equal(made.evaluations, plain.evaluations)
    assert made.origin.facts["backend"] == "one-graph"
    assert made.origin.facts["engine_hash"] == plain.origin.facts["engine_hash"]


def test_a_graph_is_written_once(tiny_engine, monkeypatch):
    adagen_rt.load(tiny_engine, backend="one-graph", threads=1).close()
    (path,) = kept()
    with monkeypatch.context() as patched:
        patched.setattr(one_graph, "write_bundle", None)
        adagen_rt.load(tiny_engine, backend="one-graph", threads=1).generate([1], [2])
    assert kept() == [path]


def test_other_parameters_are_other_graphs(tiny_engine):
    plain = adagen_rt.load(tiny_engine, threads=1)
    with adagen_rt.load(tiny_engine, backend="one-graph", threads=1) as pipeline:
        for options in ({"schedule": "static"}, {"steps": 2}, {"steps": 2, "schedule": "static"}):
            got, expected = (one.generate(LABELS, SEEDS, **options) for one in (pipeline, plain))
            assert np.abs(got.images.astype(int) - expected.images).max() <= 1, options
        assert len(kept()) == 4
        pipeline.generate([1], [2], steps=3)
        assert len(pipeline._graphs) == one_graph.MAX_GRAPHS
        assert len(pipeline.generate(LABELS, SEEDS)) == 3  # the first is loaded again


def test_a_damaged_file_is_written_anew(tiny_engine):
    adagen_rt.load(tiny_engine, backend="one-graph", threads=1).close()
    (path,) = kept()
    path.write_bytes(path.read_bytes()[:1000])
    with adagen_rt.load(tiny_engine, backend="one-graph", threads=1) as pipeline:
        assert not pipeline.generate([1], [2]).failures


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"provider": "cpu"}, "provider"),
        ({"precision": "bf16"}, "precision"),
        ({"plans": "x"}, "p"),
    ],
)
def test_what_it_does_not_have_is_refused(tiny_engine, options, told):
    with pytest.raises(InputError, match=told):
        adagen_rt.load(tiny_engine, backend="one-graph", **options)


def test_steps_cannot_be_watched(tiny_engine):
    with adagen_rt.load(tiny_engine, backend="one-graph", threads=1) as pipeline:
        with pytest.raises(InputError, match=r"stream: got .one-graph"):
            pipeline.stream([1], [2])
        with pytest.raises(InputError, match="refine"):
            pipeline.capabilities.check("one-graph", SamplingParams(refine=2))


def test_a_server_and_the_command_take_it(tiny_engine, tmp_path):
    plain = adagen_rt.load(tiny_engine, threads=1).generate([1], [2]).images[0]
    pipeline = adagen_rt.load(tiny_engine, backend="one-graph", threads=1)
    with BatchEngine(pipeline, max_batch=2) as server:
        made = server.submit(1, 2).result(60).pixels
    assert np.abs(made.astype(int) - plain).max() <= 1
    out = tmp_path / "a.npz"
    given = [
        "generate",
        "--engine",
        str(tiny_engine),
        "--label",
        "1",
        "--seed",
        "2",
        "--count",
        "1",
    ]
    done = CliRunner().invoke(main, [*given, "--backend", "one-graph", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert np.array_equal(np.load(out)["images"][0], made)
