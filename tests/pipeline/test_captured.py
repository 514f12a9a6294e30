"""The device loop behind the public interface, over TensorRT plans that the host runs."""

import numpy as np
import pytest
import running_tensorrt
from tiny_engine import CLASSES, SCHEDULE, STEPS, Options, build_tiny_engine

import adagen_rt
from adagen_rt.backends.tensorrt import runtime
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import DeviceError, EngineError, InputError, MissingExtraError, PlanError

BATCHES = (1, 2, 4)
LABELS = [0, 1, 2, 0, 1, 2, 2]
SEEDS = [5, 6, 7, 2**63 - 1, 0, 8, 9]


@pytest.fixture
def driver(monkeypatch):
    return running_tensorrt.install(monkeypatch)


@pytest.fixture
def make(driver, tmp_path):
    """Returns a function that builds an engine and its plans, and its path."""

    def build(**options):
        folder = build_tiny_engine(tmp_path / "engine", Options(**options))
        build_plans(open_engine(folder), "tensorrt", batches=BATCHES)
        return folder

    return build


@pytest.fixture
def folder(make):
    return make()


@pytest.fixture
def pipeline(folder):
    return adagen_rt.load(folder, backend="tensorrt")


def assert_alike(result, expected):
    np.testing.assert_array_equal(result.images, expected.images)
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.seeds, expected.seeds)
    assert result.schedule.keys() == expected.schedule.keys()
    for name, values in expected.schedule.items():
        assert result.schedule[name].dtype == values.dtype
        np.testing.assert_allclose(result.schedule[name], values, rtol=1e-4, atol=1e-6)
    assert result.failures == expected.failures
    if expected.rewards is None:
        assert result.rewards is None
    else:
        np.testing.assert_allclose(result.rewards, expected.rewards, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("options", [{}, {"schedule": "static"}, {"steps": 3}], ids=str)
def test_it_generates_what_the_cpu_does(folder, pipeline, count, options):
    request = LABELS[:count], SEEDS[:count]
    expected = adagen_rt.load(folder, threads=1).generate(*request, **options)
    assert_alike(pipeline.generate(*request, **options), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"fidelity": 0.25},
        {"fidelity": [0, 1, 0.5, 0, 0.75, 1, 0]},
        {"best_of": 3},
        {"best_of": 2, "fidelity": 1.0, "batch_size": 2},
        {"best_of": 2, "schedule": "static"},
    ],
    ids=str,
)
def test_fidelity_and_best_of_are_what_they_are_on_the_cpu(make, options):
    folder = make(judges=True)
    expected = adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS, **options)
    result = adagen_rt.load(folder, backend="tensorrt").generate(LABELS, SEEDS, **options)
    assert_alike(result, expected)


def test_a_failed_candidate_never_wins(make):
    folder = make(judges=True, nan_logits=1)
    expected = adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS, best_of=2)
    result = adagen_rt.load(folder, backend="tensorrt").generate(LABELS, SEEDS, best_of=2)
    assert_alike(result, expected)


def test_every_candidate_is_timed_and_counted(make):
    pipeline = adagen_rt.load(make(judges=True), backend="tensorrt")
    one = pipeline.generate(LABELS[:4], SEEDS[:4]).timings
    three = pipeline.generate(LABELS[:4], SEEDS[:4], best_of=3).timings
    assert three.backbone_rows == 3 * one.backbone_rows
    assert {"device", "reward"} <= set(three.seconds)


def test_images_are_scored_as_on_the_cpu(make):
    folder = make(judges=True)
    host, device = (adagen_rt.load(folder, backend=name) for name in ("onnxruntime", "tensorrt"))
    images = host.generate(LABELS, SEEDS).images
    scores = host.score(images, LABELS)
    assert scores.shape == (len(LABELS),)
    np.testing.assert_allclose(device.score(images, LABELS), scores, rtol=1e-5)
    names = [CLASSES[label] for label in LABELS]
    np.testing.assert_allclose(device.score(images, names, batch_size=3), scores, rtol=1e-5)


def test_nobody_pays_for_fidelity_who_does_not_ask_for_it(make, driver):
    pipeline = adagen_rt.load(make(judges=True), backend="tensorrt")
    pipeline.generate([0], [1], fidelity=0.5)
    pipeline.generate([0], [1])
    driver.calls.clear()
    pipeline.generate([0], [1])
    assert driver.calls.count("upload") == 1
    pipeline.generate([0], [1], fidelity=0.5)
    assert driver.calls.count("upload") == 2
    asked = [[op.label for op in runner.program.ops] for runner in pipeline._runners.values()]
    assert [labels.count("fidelity_policy") for labels in asked] == [0, STEPS]
    assert [labels.count("policy") for labels in asked] == [STEPS, STEPS]


def test_without_a_second_policy_it_says_so(pipeline):
    with pytest.raises(EngineError, match="fidelity_policy"):
        pipeline.generate([0], [1], fidelity=0.5)


def test_an_engine_without_a_policy_runs_its_static_schedule(make):
    folder = make(policy=False)
    pipeline = adagen_rt.load(folder, backend="tensorrt")
    assert not pipeline.has_policy
    expected = adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS)
    assert_alike(pipeline.generate(LABELS, SEEDS), expected)


def test_the_tuned_schedule_is_run(make, monkeypatch):
    folder = make()
    tuned = tuple(action.static for action in SCHEDULE.actions[:3])
    spec = SCHEDULE.model_copy(update={"tuned": (*tuned, SCHEDULE.actions[2].static)})
    made = {}
    for backend in ("onnxruntime", "tensorrt"):
        pipeline = adagen_rt.load(folder, backend=backend)
        pipeline.manifest = pipeline.manifest.with_schedule(spec)
        if backend == "onnxruntime":
            pipeline.sampler.assembly = pipeline.sampler.assembly.under(spec)
        made[backend] = pipeline.generate(LABELS, SEEDS, schedule="tuned")
    assert_alike(made["tensorrt"], made["onnxruntime"])
    assert np.unique(made["tensorrt"].schedule["guidance_scale"]).size == 1


def test_without_a_tuned_schedule_it_says_so(pipeline):
    with pytest.raises(InputError, match="tuned"):
        pipeline.generate([0], schedule="tuned")


def test_failures_are_reported_and_black(make):
    folder = make(nan_logits=1)
    result = adagen_rt.load(folder, backend="tensorrt").generate(LABELS, SEEDS)
    assert_alike(result, adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS))
    assert sorted(result.failures) == [1, 4]
    assert not result.images[[1, 4]].any()


def test_the_smallest_plans_that_hold_a_batch_run_it(pipeline, driver):
    result = pipeline.generate(LABELS, SEEDS, batch_size=4)
    # Four samples, then three and a repeat of one.
    assert result.timings.backbone_rows == 2 * STEPS * 8
    assert pipeline.generate(LABELS[:1], SEEDS[:1]).timings.backbone_rows == 2 * STEPS
    assert pipeline.generate(LABELS[:2], SEEDS[:2]).timings.backbone_rows == 2 * STEPS * 2


def test_batches_are_no_larger_than_asked_for(pipeline):
    result = pipeline.generate(LABELS[:4], SEEDS[:4], batch_size=1)
    assert result.timings.backbone_rows == 2 * STEPS * 4
    assert_alike(result, pipeline.generate(LABELS[:4], SEEDS[:4]))


def test_timings_tell_the_capture_from_the_device(pipeline):
    first = pipeline.generate(LABELS, SEEDS).timings.seconds
    assert set(first) == {"capture", "device"}
    assert set(pipeline.generate(LABELS, SEEDS).timings.seconds) == {"device"}


def test_a_captured_program_is_replayed_and_not_built_again(pipeline, driver):
    pipeline.generate(LABELS[:4], SEEDS[:4])
    driver.calls.clear()
    pipeline.generate(LABELS[3:], SEEDS[3:])
    assert driver.calls == ["activate", "upload", "replay", *["download"] * 3, "synchronize"]


def test_memory_stays_bounded_over_many_settings(pipeline, driver):
    pipeline._runners.most = 2
    sizes = []
    for steps in (1, 2, 3, 4, 5, 6):
        pipeline.generate([0], [1], steps=steps)
        sizes.append((len(driver._memory), len(driver._graphs)))
    assert sizes[1:] == [sizes[1]] * 5
    pipeline.close()
    assert (len(driver._memory), len(driver._graphs)) == (0, 0)


def test_progress_is_told_of_every_batch(pipeline):
    told = []
    result = pipeline.generate(LABELS, SEEDS, progress=told.append)
    assert [step.advanced for step in told] == [4 * STEPS, 3 * STEPS]
    assert [step.number for step in told] == [STEPS, STEPS]
    np.testing.assert_array_equal(told[1].preview(), result.images[4:])
    for step, rows in zip(told, (range(4), range(4, 7)), strict=True):
        assert len(step.running) == 0
        for decision in step.decisions:
            assert set(decision.index) <= set(rows)
            for name, values in decision.actions.items():
                chosen = result.schedule[name][decision.call, decision.index]
                np.testing.assert_array_equal(values, chosen)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"refine": 2}, "refine: got 2, expected 1 with the backend tensorrt"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"steps": 0}, "steps: got 0"),
    ],
)
def test_what_is_not_supported_is_refused(make, driver, options, named):
    pipeline = adagen_rt.load(make(judges=True), backend="tensorrt")
    driver.calls.clear()
    with pytest.raises(InputError, match=named):
        pipeline.generate([0], [1], **options)
    assert driver.calls == []


def test_there_are_no_steps_to_stream(pipeline):
    with pytest.raises(
        InputError, match="stream: got 'tensorrt', expected the backend onnxruntime"
    ):
        pipeline.stream([0])


@pytest.mark.parametrize("option", [{"threads": 2}, {"provider": "cuda"}])
def test_options_of_onnxruntime_are_refused(folder, option):
    (name,) = option
    with pytest.raises(
        InputError, match=f"{name}: got .*, expected none with the backend tensorrt"
    ):
        adagen_rt.load(folder, backend="tensorrt", **option)


def test_without_plans_it_says_what_to_type(tiny_engine, driver):
    with pytest.raises(PlanError, match=r"adagen-rt build .* --backend tensorrt$"):
        adagen_rt.load(tiny_engine, backend="tensorrt")


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_without_the_module_the_extra_is_named(tiny_engine, monkeypatch, backend):
    monkeypatch.setitem(__import__("sys").modules, backend.replace("-", "_"), None)
    with pytest.raises(MissingExtraError, match=rf"adagen-rt\[{backend}\]"):
        adagen_rt.load(tiny_engine, backend=backend)


def test_without_bindings_of_the_driver_the_extra_is_named(tiny_engine, stand_in, monkeypatch):
    stand_in("tensorrt")
    monkeypatch.setattr("adagen_rt.cuda.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"cuda\.bindings .*adagen-rt\[tensorrt\]"):
        adagen_rt.load(tiny_engine, backend="tensorrt")


def test_without_a_gpu_one_line_says_so(tiny_engine, stand_in, monkeypatch):
    def nothing(**options):
        raise DeviceError("no NVIDIA GPU: the driver's library was not found")

    stand_in("tensorrt")
    monkeypatch.setattr(runtime, "open_driver", nothing)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        adagen_rt.load(tiny_engine, backend="tensorrt")


def test_compiled_kernels_are_kept_even_if_the_folder_cannot_be_written(
    tiny_engine, tmp_path, monkeypatch
):
    running_tensorrt.install(monkeypatch, "tensorrt-rtx")
    folder = build_tiny_engine(tmp_path / "engine")
    build_plans(open_engine(folder), "tensorrt-rtx", batches=(1,))
    adagen_rt.load(folder, backend="tensorrt-rtx").generate([0], [1])
    kernels = folder / "plans" / "tensorrt-rtx.kernels"
    assert kernels.is_file()

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("adagen_rt.files.staging.tempfile.mkdtemp", refuse)
    assert adagen_rt.load(folder, backend="tensorrt-rtx").generate([0], [1]).images.any()


@pytest.mark.parametrize("refused", ["allocate", "begin_capture", "launch"])
def test_what_fails_while_it_is_made_leaves_no_memory_behind(
    pipeline, driver, monkeypatch, refused
):
    held, real, calls = len(driver._memory), getattr(driver, refused), []

    def fail_later(*arguments):
        calls.append(arguments)
        if refused != "allocate" or len(calls) > 5:
            raise DeviceError("the CUDA driver answered CUDA_ERROR_OUT_OF_MEMORY")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(driver, refused, fail_later)
        with pytest.raises(DeviceError, match="OUT_OF_MEMORY"):
            pipeline.generate([0], [1])
    assert len(driver._memory) == held
    assert pipeline.generate([0], [1]).images.any()
