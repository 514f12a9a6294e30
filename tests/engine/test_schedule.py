import numpy as np
import pytest
from golden_data import golden
from pydantic import ValidationError

from adagen_rt.engine.schedule import ActionSpec, Schedule, ScheduleSpec
from adagen_rt.engine.solver_times import (
    Shifted,
    Spaced,
)
from adagen_rt.engine.static_schedules import Constant, Cosine, Decay, Linear, Ramp

SIGMOID = [Cosine(), Decay(), Ramp(), Linear(start=0.9, stop=0.01), Constant(value=0.96)]
SOFTPLUS = [Cosine(), Decay(scale=3), Ramp(scale=2), Linear(start=0.5, stop=9), Constant(value=30)]
ACTIONS = [("sigmoid", static) for static in SIGMOID] + [("softplus", s) for s in SOFTPLUS]

# The published settings: what the golden files' columns are, in order.
MASKGIT = ScheduleSpec(
    steps=16,
    smoothing=0.8,
    actions=(
        ActionSpec(name="gen_ratios", activation="sigmoid", static=Cosine()),
        ActionSpec(name="temp", activation="softplus", static=Decay()),
        ActionSpec(name="samp_temp", activation="softplus", static=Constant(value=1)),
        ActionSpec(name="cfg", activation="softplus", static=Ramp()),
    ),
)


def diffusion(smoothing, start, stop, guidance):
    time = ActionSpec(name="t", activation="sigmoid", static=Linear(start=start, stop=stop))
    cfg = ActionSpec(name="cfg", activation="softplus", static=Constant(value=guidance))
    return ScheduleSpec(steps=16, smoothing=smoothing, actions=(time, cfg))


def var(guidance):
    top_k = {"activation": "sigmoid", "scale": 4096, "static": Constant(value=900)}
    return ScheduleSpec(
        steps=10,
        actions=(
            ActionSpec(name="cfg", activation="softplus", static=Constant(value=guidance)),
            ActionSpec(name="top_k", **top_k),
            ActionSpec(name="top_p", activation="sigmoid", static=Constant(value=0.96)),
            ActionSpec(name="temp", activation="softplus", static=Constant(value=1)),
        ),
    )


PUBLISHED = {
    "maskgit": MASKGIT,
    "dit": diffusion(0.4, 0.9, 0.01, 1.0),
    "sit": diffusion(0.8, 0.01, 0.99, 1.5),
    "var_d16": var(1.5),
    "var_d30": var(2.0),
}


def one_action(activation, static, smoothing=0.0, scale=1.0):
    action = ActionSpec(name="a", activation=activation, static=static, scale=scale)
    return ScheduleSpec(steps=8, smoothing=smoothing, actions=(action,))


def run(schedule, raw):
    """Values (calls, B, A) of a policy that outputs ``raw`` (calls, B, A)."""
    previous, values = np.zeros(raw.shape[1:], np.float32), []
    for call, output in enumerate(raw):
        step = np.full(raw.shape[1], call)
        actions, previous = schedule.decide(output, step, previous)
        values.append(np.stack(list(actions.values()), axis=-1))
    return np.stack(values)


@pytest.mark.parametrize("calls", [8, 9])
@pytest.mark.parametrize("smoothing", [0.0, 0.4, 0.8])
@pytest.mark.parametrize(("activation", "static"), ACTIONS)
def test_zero_output_is_the_static_schedule(activation, static, smoothing, calls):
    schedule = Schedule(one_action(activation, static, smoothing), 8, calls)
    values = run(schedule, np.zeros((calls, 1, 1), np.float32))[:, 0, 0]
    # A fall to 0 over the steps has nothing left to give a call after the last.
    expected = np.maximum(static.values(8, calls), 0)
    np.testing.assert_allclose(values, expected, rtol=2e-4, atol=2e-6)


def test_without_the_residual_the_output_alone_is_activated():
    spec = MASKGIT.model_copy(update={"residual": False, "smoothing": 0.0})
    zero = run(Schedule(spec, 8, 8), np.zeros((8, 1, 4), np.float32))
    np.testing.assert_allclose(
        zero, np.broadcast_to([0.5, *[np.log(2)] * 3], zero.shape), rtol=1e-6
    )
    raw = np.random.default_rng(0).normal(size=(8, 2, 4)).astype(np.float32)
    got = run(Schedule(spec, 8, 8), raw)
    np.testing.assert_allclose(got[..., 0], 1 / (1 + np.exp(-raw[..., 0])), rtol=1e-5)
    np.testing.assert_allclose(got[..., 1:], np.log1p(np.exp(raw[..., 1:])), rtol=1e-5)
    static = run(Schedule(spec.static_spec(), 8, 8), np.zeros((8, 1, 4), np.float32))
    kept = MASKGIT.model_copy(update={"smoothing": 0.0})
    np.testing.assert_array_equal(
        static, run(Schedule(kept, 8, 8), np.zeros((8, 1, 4), np.float32))
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.8])
@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_static_value_at_the_end_of_its_range_is_reached_closely(activation, value, smoothing):
    schedule = Schedule(one_action(activation, Constant(value=value), smoothing), 8, 8)
    values = run(schedule, np.zeros((8, 1, 1), np.float32))
    assert np.isfinite(schedule.residual).all()
    np.testing.assert_allclose(values, value, atol=3e-6)


def test_smoothing_weighs_the_previous_smoothed_value():
    spec = one_action("softplus", Constant(value=2), smoothing=0.25)
    schedule = Schedule(spec, 3, 3)
    raw = np.array([1.0, -2.0, 0.5], np.float32).reshape(3, 1, 1)
    first, second, third = raw[:, 0, 0] + schedule.residual[:, 0]
    smoothed = [first]
    smoothed.append(0.25 * smoothed[-1] + 0.75 * second)
    smoothed.append(0.25 * smoothed[-1] + 0.75 * third)
    np.testing.assert_allclose(run(schedule, raw)[:, 0, 0], np.log1p(np.exp(smoothed)), rtol=1e-5)


def test_a_residual_is_written_only_where_there_is_none():
    for residual in (True, False):
        spec = MASKGIT.model_copy(update={"residual": residual})
        assert ("residual" in spec.model_dump()) != residual
        assert ScheduleSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_first_call_ignores_what_came_before():
    schedule = Schedule(one_action("softplus", Ramp(), smoothing=0.8), 8, 8)
    raw, step = np.ones((1, 1), np.float32), np.array([0])
    garbage = np.full((1, 1), np.nan, np.float32)
    clean = schedule.decide(raw, step, np.zeros_like(garbage))[0]["a"]
    assert schedule.decide(raw, step, garbage)[0]["a"] == clean


def test_samples_may_be_at_different_steps():
    schedule = Schedule(MASKGIT, 16, 16)
    rng = np.random.default_rng(0)
    raw, previous = rng.normal(size=(2, 3, 4)).astype(np.float32)
    steps = np.array([0, 15, 7])
    together, _ = schedule.decide(raw, steps, previous)
    for i, step in enumerate(steps):
        row = slice(i, i + 1)
        alone, _ = schedule.decide(raw[row], np.array([step]), previous[row])
        for name, values in alone.items():
            assert values[0] == together[name][i]


@pytest.mark.parametrize("extreme", [-1e30, -1e4, 1e4, 1e30])
@pytest.mark.parametrize("name", PUBLISHED)
def test_extreme_outputs_stay_finite_and_in_range(name, extreme):
    spec = PUBLISHED[name]
    values = run(Schedule(spec, 16, 16), np.full((16, 1, len(spec.actions)), extreme, np.float32))
    assert np.isfinite(values).all()
    for i, action in enumerate(spec.actions):
        low, high = action.range
        assert (values[..., i] >= low).all()
        assert (values[..., i] <= high).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_residuals_match_the_published_code(name):
    data = golden(f"policy_{name}")
    residuals = [data[key] for key in data if key.startswith("residual_")]
    schedule = Schedule(PUBLISHED[name], PUBLISHED[name].steps, len(data["raw"]))
    for i, (action, expected) in enumerate(zip(schedule.spec.actions, residuals, strict=True)):
        # These two carry the cancellation of the published formula in single precision.
        loose = name == "maskgit" and action.name in ("temp", "cfg")
        tolerance = 2.2e-3 if loose else 1e-4 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(schedule.residual[:, i], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", PUBLISHED)
def test_actions_match_the_published_code(name):
    data = golden(f"policy_{name}")
    schedule = Schedule(PUBLISHED[name], PUBLISHED[name].steps, len(data["raw"]))
    values = run(schedule, data["raw"])
    # An action's own spread: top_k is in thousands, probabilities are not.
    spread = np.maximum(data["action"].std(axis=(0, 1)), 1e-3)
    difference = np.abs(values - data["action"]).max(axis=(0, 1)) / spread
    assert (difference < (2.2e-3 if name == "maskgit" else 1e-4)).all()


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="colour"):
        ScheduleSpec.model_validate({"steps": 4, "actions": [], "colour": "red"})


@pytest.mark.parametrize(
    ("static", "expected"),
    [
        # sigma' = 3 sigma / (1 + 2 sigma) of 1, 3/4, 1/2, 1/4
        (Shifted(shift=3), [0, 1 - 0.9, 1 - 0.75, 1 - 0.5, 1]),
        (Shifted(shift=1, first=0.8, last=0.2), [0.2, 0.4, 0.6, 0.8, 1]),
        (Spaced(spacing="leading"), [0.751, 0.501, 0.251, 0.001, 0]),
        (Spaced(spacing="leading", offset=1, end=0.001), [0.752, 0.502, 0.252, 0.002, 0.001]),
        (Spaced(spacing="leading", spare=True), [0.801, 0.601, 0.401, 0.201, 0]),
        (Spaced(spacing="trailing"), [1, 0.75, 0.5, 0.25, 0]),
        (Spaced(spacing="linspace", spare=True), [1, 0.75, 0.501, 0.251, 0]),
    ],
)
def test_times_of_solvers(static, expected):
    np.testing.assert_allclose(static.values(4, 5), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("static", [Shifted(shift=3), Spaced(spacing="trailing")])
def test_the_ends_of_time_come_out_of_the_activation(static):
    action = ActionSpec(name="time", activation="sigmoid", static=static)
    schedule = Schedule(ScheduleSpec(steps=4, actions=(action,)), 4, 5)
    raw, previous = np.zeros((5, 1), np.float32), np.zeros((5, 1), np.float32)
    times = schedule.decide(raw, np.arange(5), previous)[0]["time"]
    np.testing.assert_allclose(times, static.values(4, 5), rtol=0, atol=1.1e-6)
