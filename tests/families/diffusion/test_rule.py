import numpy as np
import pytest

from adagen_rt.condition import ClassLabels, Conditioner
from adagen_rt.families.diffusion.rule import DiffusionRule
from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.families.diffusion.spec import DiffusionSpec
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.sampling.rule import State

STEPS = 4
FIRST = {"dit": 0.9, "sit": 0.1}


def make(name, solver="dpmpp_2s", steps=STEPS):
    spec = DiffusionSpec(family=name, channels=4, size=2, tokens=1, width=3, solver=solver)
    return DiffusionRule(spec, steps, CpuOps())


@pytest.fixture(params=["dit", "sit"])
def family(request):
    return make(request.param)


@pytest.fixture(params=["dit", "sit"])
def euler(request):
    return make(request.param, "euler")


def blank(count):
    return State(
        index=np.arange(count),
        condition=Conditioner(ClassLabels(count=10))({"labels": np.arange(count)}),
        seeds=np.arange(count),
        step=np.zeros(count, np.int64),
        smoothed=np.zeros((count, 2), np.float32),
        failed=np.zeros(count, bool),
    )


def actions(times, guidance=0.0):
    times = np.asarray(times, np.float32)
    return {"time": times, "guidance_scale": np.full_like(times, guidance)}


def begin(family, count=2):
    return family.begin(family.start(blank(count)), actions([FIRST[family.spec.family]] * count))


def predictions(family, count=2):
    rng = np.random.default_rng(0)
    return {"prediction": rng.normal(size=(2 * count, 4, 2, 2)).astype(np.float32)}


def test_latents_start_from_the_seed_alone(family):
    together = family.start(blank(3)).x
    alone = family.start(blank(3).take(np.array([2]))).x
    np.testing.assert_array_equal(together[2], alone[0])


def test_the_policy_is_asked_once_before_the_first_evaluation(family):
    assert family.spec.calls(STEPS) == STEPS + 1
    features = family.prologue(family.start(blank(2)))["features"]
    assert features.shape == (2, 1, 3)
    assert not features.any()


def test_the_first_time_is_kept_inside():
    for name, extreme, expected in [("dit", 0.0, 0.01), ("sit", 1.0, 0.99)]:
        family = make(name)
        state = family.begin(family.start(blank(1)), actions([extreme]))
        np.testing.assert_allclose(state.time, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "now", "chosen", "expected"),
    [
        ("dit", 0.5, 0.3, 0.3),
        ("dit", 0.5, 0.6, 0.49),
        ("dit", 0.015, 0.3, 0.01),
        ("sit", 0.5, 0.7, 0.7),
        ("sit", 0.5, 0.4, 0.51),
        ("sit", 0.985, 0.2, 0.99),
    ],
)
def test_times_move_on_and_stay_inside(name, now, chosen, expected):
    family = make(name)
    state = family.begin(family.start(blank(1)), actions([now]))
    state = family.advance(state, predictions(family, 1), actions([chosen]))
    np.testing.assert_allclose(state.time, expected, rtol=1e-5)


def test_two_evaluations_make_a_solver_step(family):
    state = begin(family)
    start = state.time.copy()
    middle = family.advance(state, predictions(family), actions([0.5, 0.5]))
    np.testing.assert_array_equal(middle.start_time, start)
    np.testing.assert_array_equal(middle.anchor, state.x)
    end = family.advance(middle, predictions(family), actions([0.5, 0.5]))
    np.testing.assert_array_equal(end.anchor, middle.anchor)
    np.testing.assert_array_equal(end.step, [2, 2])


def test_samples_may_be_at_different_phases(family):
    state = begin(family)
    ahead = family.advance(state, predictions(family), actions([0.5, 0.5]))
    mixed = ahead.take(np.array([0])).join(state.take(np.array([1])))
    moved = family.advance(mixed, predictions(family), actions([0.4, 0.4]))
    first = family.advance(ahead, predictions(family), actions([0.4, 0.4]))
    second = family.advance(state, predictions(family), actions([0.4, 0.4]))
    np.testing.assert_allclose(moved.x[0], first.x[0], rtol=1e-6)
    np.testing.assert_allclose(moved.x[1], second.x[1], rtol=1e-6)


def test_non_finite_predictions_fail_their_sample_alone(family):
    bad = predictions(family)
    bad["prediction"][1, 0, 0, 0] = np.nan
    state = family.advance(begin(family), bad, actions([0.5, 0.5]))
    np.testing.assert_array_equal(state.failed, [False, True])


def test_unfinished_latents_are_the_clean_prediction(family):
    state = family.advance(begin(family), predictions(family), actions([0.5, 0.5]))
    np.testing.assert_array_equal(family.latents(state)["latents"], state.anchor_data)
    for _ in range(STEPS - 1):
        state = family.advance(state, predictions(family), actions([0.5, 0.5]))
    assert family.finished(state).all()
    np.testing.assert_array_equal(family.latents(state)["latents"], state.x)


def test_a_step_with_one_evaluation_is_whole(euler):
    state = begin(euler)
    for step in range(1, STEPS + 1):
        moved = euler.advance(state, predictions(euler), actions([0.5, 0.5]))
        np.testing.assert_array_equal(moved.anchor, state.x)
        np.testing.assert_array_equal(moved.start_time, state.time)
        np.testing.assert_array_equal(moved.step, [step, step])
        times = np.stack([state.time, moved.time, moved.time], axis=1)
        x, _, data = euler.ops.solver_update(
            state.x,
            state.anchor,
            state.anchor_data,
            *np.split(predictions(euler)["prediction"], 2),
            np.zeros(2, np.float32),
            times,
            np.zeros(2, np.int64),
            euler.process,
            SOLVERS["euler"],
        )
        np.testing.assert_array_equal(moved.x, x)
        np.testing.assert_array_equal(moved.anchor_data, data)
        state = moved


def test_previews_and_results_of_euler(euler):
    state = begin(euler)
    for _ in range(STEPS - 1):
        state = euler.advance(state, predictions(euler), actions([0.5, 0.5]))
        np.testing.assert_array_equal(euler.latents(state)["latents"], state.anchor_data)
    state = euler.advance(state, predictions(euler), actions([0.5, 0.5]))
    np.testing.assert_array_equal(euler.latents(state)["latents"], state.x)


def test_steps_must_be_whole_solver_steps():
    assert make("dit", "euler", steps=3).spec.check_steps(3) is None
    assert make("dit").spec.check_steps(4) is None
    assert make("dit").spec.check_steps(3).startswith("an even number")


def test_a_manifest_names_its_solver_unless_it_is_the_usual_one():
    assert "solver" not in make("dit").spec.model_dump()
    assert make("dit", "euler").spec.model_dump()["solver"] == "euler"
    with pytest.raises(ValueError, match=r"(?s)solver.*got 'heun', expected one of dpmpp_2s"):
        make("dit", "heun")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["dit", "sit"])
def test_the_rule_is_a_pure_function_of_arrays(name, solver):
    """Tensors without numbers go through it, so it can be traced."""
    torch = pytest.importorskip("torch")

    def meta(arrays):
        return {name: torch.from_numpy(array).to("meta") for name, array in arrays.items()}

    def start(state):
        arrays = vars(state).keys() - {"condition", "past"}
        given = {name: getattr(state, name) for name in arrays}
        rows = Conditioner(ClassLabels(count=10))(meta({"labels": np.arange(2)}))
        return State(**meta(given), condition=rows)

    family = make(name, solver)
    family.ops = ReferenceOps()
    state = family.start(start(blank(2)))
    assert family.prologue(state)["features"].shape == (2, 1, 3)
    state = family.begin(state, meta(actions([0.5, 0.5])))
    assert family.observe(state)["x"].shape == (4, 4, 2, 2)
    state = family.advance(state, meta(predictions(family)), meta(actions([0.4, 0.4])))
    assert family.latents(state)["latents"].shape == (2, 4, 2, 2)


@pytest.mark.parametrize(("name", "start", "end"), [("diffusion", 1.0, 0.0), ("flow", 0.0, 1.0)])
def test_without_a_margin_times_reach_both_ends(name, start, end):
    spec = {"channels": 4, "size": 2, "tokens": 1, "width": 3, "time_margin": 0.0}
    rule = DiffusionRule(DiffusionSpec(family=name, **spec), STEPS, CpuOps())
    near = abs(start - 1e-6)
    state = rule.begin(rule.start(blank(2)), actions([near, near]))
    np.testing.assert_array_equal(state.time, start)
    state = rule.advance(state, predictions(rule), actions([0.5, 0.5]))
    state = rule.advance(state, predictions(rule), actions([abs(end - 1e-6), end]))
    np.testing.assert_array_equal(state.time, end)


def test_a_multistep_solver_remembers_the_evaluation_before():
    rule = make("sit", "dpmpp_2m")
    state = begin(rule)
    first = rule.advance(state, predictions(rule), actions([0.4, 0.4]))
    np.testing.assert_array_equal(first.start_time, state.time)
    second = rule.advance(first, predictions(rule), actions([0.6, 0.6]))
    times = np.stack([first.time, state.time, second.time], axis=1)
    x, _, data = rule.ops.solver_update(
        first.x,
        first.anchor,
        first.anchor_data,
        *np.split(predictions(rule)["prediction"], 2),
        np.zeros(2, np.float32),
        times,
        np.ones(2, np.int64),
        rule.process,
        SOLVERS["dpmpp_2m"],
    )
    np.testing.assert_array_equal(second.x, x)
    np.testing.assert_array_equal(second.anchor_data, data)


@pytest.mark.parametrize(
    ("family", "coefficients", "message"),
    [("flow", [-1.0], "expected none of the family flow"), ("dit", [-1.0, 2.0], "does not fall")],
)
def test_a_noise_schedule_that_makes_no_sense_is_refused(family, coefficients, message):
    spec = {"channels": 4, "size": 2, "tokens": 1, "width": 3, "log_alpha": coefficients}
    with pytest.raises(ValueError, match=message):
        DiffusionSpec(family=family, **spec)


def test_a_manifest_has_only_what_differs_from_the_defaults():
    sizes = {"channels": 4, "size": 2, "tokens": 1, "width": 3}
    assert set(DiffusionSpec(family="dit", **sizes).model_dump()) == {"family", *sizes}
    given = {"family": "diffusion", **sizes, "guided_channels": 4, "time_margin": 0.0}
    assert DiffusionSpec(**given, log_alpha=(-1.0,)).model_dump() == {
        **given,
        "size": 2,
        "log_alpha": (-1.0,),
    }
