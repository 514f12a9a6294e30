"""Numbers of steps that a host chooses, and steps that it makes itself."""

import numpy as np
import pytest

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.onegraph.host import StepHost
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SamplingParams

LABELS, SEEDS = [0, 1, 2, 1, 0], [11, 12, 13, 14, 15]


@pytest.fixture(scope="module", params=["classes", "prompts"])
def engine(request, judged_engine, prompt_engine):
    """MaskGIT of classes, and a flow of prompts, whose solver takes two evaluations a step."""
    judged = {"classes": lambda: judged_engine, "prompts": lambda: prompt_engine(judges=True)}
    return open_engine(judged[request.param]())


def asked(engine):
    """What five images are of, as keywords and as inputs of a model."""
    condition = engine.manifest.condition
    given = [condition.examples(3)[place] for place in LABELS]
    return {condition.noun: given}, condition.inputs(condition.parse(given))


def same(got, expected):
    assert np.abs(np.asarray(got).astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("form", ["loop", "unrolled"])
def test_each_sample_has_its_own_number_of_steps(engine, form, tmp_path):
    out, (words, rows) = tmp_path / "one.onnx", asked(engine)
    facts = write_bundle(engine, out, form=form, fidelity_input=True, steps_input=6)
    assert facts.steps_input
    assert facts.steps == 6
    with adagen_rt.load(out, threads=1) as model, adagen_rt.load(engine.path, threads=1) as runtime:
        for steps in (2, 6):
            options = {"steps": steps, "fidelity": [0, 1, 0.5, 0, 0.2], **words}
            got, expected = (one.generate(seeds=SEEDS, **options) for one in (model, runtime))
            same(got.images, expected.images)
            for name, values in expected.schedule.items():
                np.testing.assert_allclose(got.schedule[name], values, rtol=1e-4, atol=1e-5)
        feeds = rows | {"seeds": np.array(SEEDS)}
        feeds |= {"fidelity": np.zeros(5, np.float32), "steps": np.array([2, 0, 7, 4, -3])}
        outputs = model.model.run(feeds)
        assert outputs["failed"].tolist() == [0, -1, -1, 0, -1]
        assert not outputs["images"][[1, 2, 4]].any()
        for place, steps in ((0, 2), (3, 4)):
            alone = runtime.generate(seeds=SEEDS, steps=steps, **words)
            same(outputs["images"][place], alone.images[place])
        with pytest.raises(InputError, match="steps: got 8, expected at most 6"):
            model.generate(seeds=SEEDS, steps=8, **words)


def test_odd_steps_of_a_solver_with_two_evaluations_fail(prompt_engine, tmp_path):
    engine = open_engine(prompt_engine())
    write_bundle(engine, tmp_path / "one.onnx", steps_input=4)
    with adagen_rt.load(tmp_path / "one.onnx", threads=1) as model:
        feeds = asked(engine)[1] | {"seeds": np.arange(5), "steps": np.array([3, 4, 2, 1, 5])}
        assert model.model.run(feeds)["failed"].tolist() == [-1, 0, 0, -1, -1]


@pytest.fixture(scope="module")
def apart(engine, tmp_path_factory):
    """Three models with all inputs, which were checked when they were written."""
    folder = tmp_path_factory.mktemp("apart") / "tiny"
    facts = write_bundle(engine, folder, form="step", fidelity_input=True, steps_input=6)
    assert facts.checked["largest"] <= 1
    assert [path.name for path in sorted(folder.iterdir())] == [
        *("decode.onnx", "start.onnx", "step.onnx"),
    ]
    return folder


def test_samples_join_and_leave_a_batch_at_different_steps(engine, apart):
    steps = np.array([6, 2, 4, 6, 2])
    shares = np.linspace(0, 1, 5).astype(np.float32)
    words, rows = asked(engine)
    inputs = rows | {"seeds": np.array(SEEDS), "fidelity": shares, "steps": steps}
    got = StepHost(apart, 1).run(inputs)
    assert got["failed"].tolist() == [0] * 5
    with adagen_rt.load(engine.path, threads=1) as runtime:
        for number in (2, 4, 6):
            alone = runtime.generate(seeds=SEEDS, steps=number, fidelity=shares.tolist(), **words)
            same(got["images"][steps == number], alone.images[steps == number])


def test_shipped_pictures_of_prompts_are_the_pipelines(tmp_path):
    pytest.importorskip("tokenizers")
    engine = open_engine("emoji-sit")
    write_bundle(engine, tmp_path / "emoji", form="step")
    words = {
        "prompts": ["noto style: red apple", "", "a twemoji ghost", "flat style: guitar"],
        "negative_prompts": ["", "", "noto style: dog", "blue"],
    }
    seeds = [0, 1, 2**63 - 1, 3]
    with adagen_rt.load("emoji-sit", threads=1) as runtime:
        expected = runtime.generate(seeds=seeds, **words)
    rows = engine.manifest.condition.inputs(expected.rows) | {"seeds": np.array(seeds)}
    host = StepHost(tmp_path / "emoji", 1)
    same(host.run(rows)["images"], expected.images)
    rows["text_ids"][0, 3], rows["negative.text_ids"][2, 0] = 2048, -1
    assert host.begin(rows)["failed"].tolist() == [-1, 0, -1, 0]


def test_a_host_that_asks_for_what_there_is_not_gets_black(engine, apart):
    _, rows = asked(engine)
    rows = {name: values.copy() for name, values in rows.items()}
    first = next(iter(rows.values()))
    first[1], first[2] = -1, 99
    more = {"fidelity": np.zeros(5, np.float32), "steps": np.array([2, 2, 2, 2, 60])}
    got = StepHost(apart, 1).run(rows | more | {"seeds": np.array([1, 2, 3, -4, 5])})
    assert got["failed"].tolist() == [0, -1, -1, -1, -1]
    assert got["images"][0].any()
    assert not got["images"][1:].any()


def test_a_sample_that_is_done_stays_as_it_is(engine, apart):
    host = StepHost(apart, 1)
    inputs = asked(engine)[1] | {"seeds": np.array(SEEDS), "steps": np.array([2, 2, 4, 4, 6])}
    state, told, pictures = host.begin(inputs | {"fidelity": np.zeros(5, np.float32)}), [], []
    for _ in range(8):
        state |= host.step(state)
        told.append(np.isnan(state["actions"]).all(axis=1))
        pictures.append(host.end(state)["images"])
    assert [sum(row) for row in zip(*(~rows for rows in told), strict=True)] == [2, 2, 4, 4, 6]
    np.testing.assert_array_equal(pictures[1][:2], pictures[-1][:2])
    np.testing.assert_array_equal(pictures[3][:4], pictures[-1][:4])


def test_what_it_cannot_do_is_refused(engine, apart, tmp_path):
    with pytest.raises(InputError, match=r"engine: .*this is one of three"):
        adagen_rt.load(apart / "step.onnx")
    with pytest.raises(InputError, match="best_of: got 2, expected 1 in the form step"):
        write_bundle(engine, tmp_path / "x", SamplingParams(best_of=2), form="step")
    with pytest.raises(InputError, match="steps_input: got 6, expected none beside steps"):
        write_bundle(engine, tmp_path / "x.onnx", SamplingParams(steps=2), steps_input=6)
    (tmp_path / "x.onnx").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"out: .*x\.onnx"):
        write_bundle(engine, tmp_path / "x.onnx", form="step")
    var = open_engine("fashion-var")
    with pytest.raises(InputError, match="form: got 'step', expected unrolled"):
        write_bundle(var, tmp_path / "x", form="step")
    with pytest.raises(InputError, match="steps_input: got 9, expected none"):
        write_bundle(var, tmp_path / "y.onnx", steps_input=9)
