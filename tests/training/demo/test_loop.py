import csv

import pytest

torch = pytest.importorskip("torch")

from adagen_rt.errors import CheckpointError, TrainingError
from adagen_rt.training.demo.loop import (
    CHECKPOINT,
    MAX_FAILURES,
    LoopConfig,
    Trainer,
)

CONFIG = LoopConfig(steps=6, batch_size=4, warmup=2, save_every=3, preview_every=3)


class Regression:
    """Fits a line to noisy points; the noise is drawn while training."""

    def __init__(self, broken_at=()):
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Linear(8, 1))
        self.inputs = torch.randn(10, 3)
        self.size = 10
        self.calls = 0
        self.broken_at = set(broken_at)

    def loss(self, rows, generator):
        self.calls += 1
        noise = 0.1 * torch.randn(len(rows), 1, generator=generator)
        target = self.inputs[rows].sum(dim=1, keepdim=True) + noise
        loss = (self.network(self.inputs[rows]).float() - target).square().mean()
        return loss * float("nan") if self.calls in self.broken_at else loss

    def preview(self, network):
        return torch.rand(3, 1, 4, 4)


def same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path):
    whole = Trainer(Regression(), CONFIG, tmp_path / "whole")
    whole.run()
    first = Trainer(Regression(), CONFIG, tmp_path / "parts")
    while first.step < 3:
        first._advance()
    first._save()
    second = Trainer(Regression(), CONFIG, tmp_path / "parts", resume=True)
    assert second.step == 3
    second.run()
    same(whole.task.network.state_dict(), second.task.network.state_dict())
    same(whole.average.state_dict(), second.average.state_dict())
    states = [t.optimizer.state_dict()["state"] for t in (whole, second)]
    for one, two in zip(states[0].values(), states[1].values(), strict=True):
        same(one, two)


def test_without_resume_a_run_starts_afresh(tmp_path):
    Trainer(Regression(), CONFIG, tmp_path).run()
    assert Trainer(Regression(), CONFIG, tmp_path).step == 0


def test_training_reduces_the_loss(tmp_path):
    config = LoopConfig(steps=200, batch_size=5, learning_rate=3e-2, warmup=5, bf16=False)
    trainer = Trainer(Regression(), config, tmp_path)
    rows, generator = torch.arange(10), torch.Generator().manual_seed(1)
    before = trainer.task.loss(rows, generator).item()
    trainer.run()
    assert trainer.task.loss(rows, generator).item() < 0.1 * before


def test_a_run_leaves_a_log_samples_and_a_checkpoint(tmp_path):
    config = LoopConfig(steps=40, batch_size=4, preview_every=20)
    Trainer(Regression(), config, tmp_path).run()
    assert {p.name for p in tmp_path.iterdir()} == {
        CHECKPOINT,
        "log.csv",
        "samples_000020.png",
        "samples_000040.png",
    }
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40"]
    assert float(rows[0]["loss"]) > 0


def test_a_resumed_log_keeps_its_lines(tmp_path):
    Trainer(Regression(), LoopConfig(steps=40, batch_size=4), tmp_path).run()
    Trainer(Regression(), LoopConfig(steps=60, batch_size=4), tmp_path, resume=True).run()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "20", "40", "60"]


def test_a_time_limit_stops_after_the_step_in_hand(tmp_path):
    trainer = Trainer(Regression(), CONFIG, tmp_path)
    trainer.run(max_minutes=0)
    assert trainer.step == 1
    assert (tmp_path / CHECKPOINT).is_file()


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path):
    trainer = Trainer(Regression(broken_at={1}), CONFIG, tmp_path)
    before = {k: v.clone() for k, v in trainer.task.network.state_dict().items()}
    trainer._advance()
    same(before, trainer.task.network.state_dict())
    trainer._advance()
    assert trainer.failures == 0
    assert not torch.equal(before["0.weight"], trainer.task.network.state_dict()["0.weight"])


def test_several_losses_that_are_not_finite_stop_the_run(tmp_path):
    config = LoopConfig(steps=50, batch_size=4, save_every=2)
    trainer = Trainer(Regression(broken_at=range(4, 50)), config, tmp_path)
    with pytest.raises(TrainingError, match=f"not finite {MAX_FAILURES} times"):
        trainer.run()
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert all(v.isfinite().all() for v in kept["network"].values())


def test_an_interrupted_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    trainer = Trainer(Regression(), CONFIG, tmp_path)
    trainer.run()
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full_disk(state, path):
        path.write_bytes(b"half of")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        trainer._save()
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob(".*tmp"))


@pytest.mark.parametrize("content", [b"", b"half of", None])
def test_a_checkpoint_that_does_not_fit_is_one_clear_error(tmp_path, content):
    if content is None:
        torch.save({"step": 3, "network": {}, "average": {}}, tmp_path / CHECKPOINT)
    else:
        (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        Trainer(Regression(), CONFIG, tmp_path, resume=True)


def test_an_epoch_shows_every_example_once(tmp_path):
    trainer = Trainer(Regression(), LoopConfig(steps=4, batch_size=5), tmp_path)
    seen = []
    for trainer.step in range(4):
        seen.append(trainer._rows())
    for epoch in (seen[:2], seen[2:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    assert not torch.equal(seen[0], seen[2])


def test_the_rate_warms_up_and_falls_to_a_hundredth(tmp_path):
    trainer = Trainer(Regression(), LoopConfig(steps=1000, warmup=10), tmp_path)
    rates = []
    for trainer.step in (0, 9, 1000):
        rates.append(trainer._rate())
    assert rates == pytest.approx([1e-4, 1e-3, 1e-5], rel=1e-3)
