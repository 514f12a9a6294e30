import csv
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tiny_policy_run import make_trainer

from adagen_rt.errors import CheckpointError, InputError, TrainingError
from adagen_rt.models.random import keyed_generator
from adagen_rt.training.demo.loop import CHECKPOINT, MAX_FAILURES
from adagen_rt.training.policy.parallel import Workers
from adagen_rt.training.policy.rollout import Exploration, rollout
from adagen_rt.training.policy.run import LOG_FIELDS
from adagen_rt.training.policy.settings import PolicyTraining

SCRIPT = Path(__file__).parents[2] / "tiny_policy_run.py"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums of several threads are grouped differently: bits are compared with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def contents(folder):
    """All tensors and numbers of a run's checkpoint, by their path in it."""

    def walk(prefix, value):
        if isinstance(value, dict):
            for key, part in value.items():
                yield from walk(f"{prefix}/{key}", part)
        elif isinstance(value, list):
            for index, part in enumerate(value):
                yield from walk(f"{prefix}/{index}", part)
        else:
            yield prefix, value

    checkpoint = torch.load(folder / "policy" / CHECKPOINT, weights_only=True)
    return dict(walk("", checkpoint))


def assert_same_run(first, second):
    one, two = contents(first), contents(second)
    assert one.keys() == two.keys()
    for name, value in one.items():
        same = torch.equal(value, two[name]) if torch.is_tensor(value) else value == two[name]
        assert same, name
    weights = [(folder / "policy.safetensors").read_bytes() for folder in (first, second)]
    assert weights[0] == weights[1]


def log(folder):
    with (folder / "policy" / "log.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    make_trainer(folder).run()
    return folder


def test_a_run_that_is_killed_and_resumed_ends_as_one_that_was_not(whole, tmp_path):
    delay = random.Random().uniform(0.0, 0.3)
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (tmp_path / "policy" / CHECKPOINT).is_file():
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    trainer = make_trainer(tmp_path, resume=True)
    assert trainer.update > 0
    trainer.run()
    assert_same_run(whole, tmp_path)
    assert [row["update"] for row in log(tmp_path)] == [row["update"] for row in log(whole)]


def test_a_run_that_stops_at_its_time_limit_goes_on_the_same(whole, tmp_path):
    make_trainer(tmp_path).run(max_minutes=0)
    assert contents(tmp_path)["/update"] == 1
    make_trainer(tmp_path, resume=True).run()
    assert_same_run(whole, tmp_path)


def test_a_run_leaves_a_log_and_pictures(whole):
    rows = log(whole)
    assert tuple(rows[0]) == LOG_FIELDS
    assert [int(row["update"]) for row in rows] == list(range(7))
    assert [bool(row["fid"]) for row in rows] == [True, False, False, True, False, False, True]
    assert 0 < float(rows[1]["real"]) < 1
    assert float(rows[1]["std"]) == pytest.approx(0.6)
    assert float(rows[6]["std"]) == pytest.approx(0.1)
    assert rows[1]["clip_fraction"] == ""  # the reward warms up
    assert rows[2]["clip_fraction"] != ""
    pictures = {path.name for path in (whole / "policy").glob("*.png")}
    assert pictures == {f"samples_{update:06d}.png" for update in (0, 3, 6)}


def test_the_policy_changes_and_the_generator_does_not(whole, tmp_path):
    trainer = make_trainer(tmp_path)
    before = [p.clone() for p in trainer.environment.networks["backbone"].parameters()]
    fresh = {k: v.clone() for k, v in trainer.policy.state_dict().items()}
    trainer._advance()
    trainer._advance()
    after = trainer.policy.state_dict()
    assert any(not torch.equal(fresh[name], after[name]) for name in fresh)
    backbone = trainer.environment.networks["backbone"].parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, backbone, strict=True))


class Broken:
    """A reward that is not finite from one update on."""

    def __init__(self, reward, since):
        self.reward, self.since, self.calls = reward, since, 0

    def score(self, images, rows, generator):
        self.calls += 1
        scores = self.reward.score(images, rows, generator)
        return scores * torch.nan if self.calls >= self.since else scores

    def __getattr__(self, name):
        return getattr(self.reward, name)


def test_a_reward_that_is_not_finite_skips_the_update(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer._advance()
    trainer.reward = Broken(trainer.reward, since=1)
    before = {k: v.clone() for k, v in trainer.policy.state_dict().items()}
    trainer._advance()
    assert trainer.failures == 1
    trainer._save()
    assert not (tmp_path / "policy.safetensors").exists()
    after = trainer.policy.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    trainer.reward = trainer.reward.reward
    trainer._advance()
    assert trainer.failures == 0


def test_several_in_a_row_stop_the_run_and_the_last_good_state_is_kept(tmp_path):
    trainer = make_trainer(tmp_path, updates=20)
    trainer.reward = Broken(trainer.reward, since=3)
    with pytest.raises(TrainingError, match=f"not finite {MAX_FAILURES} times"):
        trainer.run()
    assert contents(tmp_path)["/update"] == 2


@pytest.mark.parametrize("damage", [b"half of", None])
def test_a_checkpoint_that_does_not_fit_is_one_clear_error(tmp_path, damage):
    (tmp_path / "policy").mkdir()
    path = tmp_path / "policy" / CHECKPOINT
    if damage is None:
        torch.save({"policy": {}, "update": 1}, path)
    else:
        path.write_bytes(damage)
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        make_trainer(tmp_path, resume=True)


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match="updates"):
        PolicyTraining(updates=0)
    with pytest.raises(InputError, match="trajectories"):
        make_trainer(tmp_path, workers=Workers(rank=0, count=3))


def test_a_run_can_start_from_what_another_left(whole, tmp_path):
    trainer = make_trainer(tmp_path / "next")
    trainer.begin_from(whole)
    end = contents(whole)
    for name, network in (("policy", trainer.policy), ("critic", trainer.critic)):
        for key, value in network.state_dict().items():
            assert torch.equal(value, end[f"/{name}/{key}"])
    assert trainer.update == 0
    with pytest.raises(CheckpointError, match="policy"):
        make_trainer(tmp_path / "other").begin_from(tmp_path)


def test_a_resumed_run_does_not_start_again(whole, tmp_path):
    make_trainer(tmp_path).run(max_minutes=0)
    trainer = make_trainer(tmp_path, resume=True)
    before = {name: value.clone() for name, value in trainer.policy.state_dict().items()}
    trainer.begin_from(whole)
    assert all(
        torch.equal(value, before[name]) for name, value in trainer.policy.state_dict().items()
    )


def test_fresh_images_are_the_updated_policys_at_the_next_deviation(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, std_drops=(1,), std_drop=0.4)
    asked = []

    def learn(images, rows, generator, fresh):
        assert trainer.update == 1
        asked.append(fresh(7, keyed_generator(5)))
        return {}

    monkeypatch.setattr(trainer.reward, "learn", learn)
    trainer._advance()
    ((images, rows),) = asked
    generator, environment = keyed_generator(5), trainer.environment
    wanted = environment.drawn(7, generator)
    seeds = torch.randint(2**62, (7,), generator=generator)
    noise = Exploration.draw(environment, 7, 0.2, generator)
    assert noise.std == pytest.approx(0.6 - 0.4)
    expected = rollout(environment, trainer.actor, wanted, seeds, noise)
    assert torch.equal(rows["labels"], wanted["labels"])
    assert torch.equal(images, expected.images)


@pytest.mark.parametrize("balanced", [True, False])
def test_conditions_are_drawn_or_balanced(tmp_path, balanced):
    trainer = make_trainer(tmp_path, balanced=balanced, trajectories=400)
    labels = trainer._conditions(400, keyed_generator(0))["labels"]
    counts = torch.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert (counts == 40).all() == balanced
    assert counts.min() > 15
    again = trainer._conditions(400, keyed_generator(1))["labels"]
    assert not torch.equal(labels, again)
