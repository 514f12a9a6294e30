import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from adagen_rt.training.demo.loop import CHECKPOINT
from adagen_rt.training.policy.parallel import Workers, step_if_finite

SCRIPT = Path(__file__).parents[2] / "tiny_policy_run.py"


def test_two_processes_train_one_policy(tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{r}.pt", weights_only=True) for r in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first["linear3.weight"].any()
    assert torch.load(tmp_path / "policy" / CHECKPOINT, weights_only=True)["update"] == 6
    lines = (tmp_path / "policy" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["update", *map(str, range(7))]


def test_shares_are_all_of_the_rows_and_none_twice():
    rows = torch.arange(12)
    shares = [Workers(rank, 3).share(rows) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()
    assert {len(share) for share in shares} == {4}


def test_a_single_process_needs_no_messages():
    alone = Workers()
    assert alone.leads
    assert torch.equal(alone.mean(torch.ones(2)), torch.ones(2))
    assert alone.mean_of({"a": 1.5}) == {"a": 1.5}


@pytest.mark.parametrize("factor", [1.0, torch.nan, torch.inf])
def test_a_step_is_made_only_if_it_is_finite(factor):
    layer = torch.nn.Linear(3, 1)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    loss = (layer(torch.ones(1, 3)) * factor).sum()
    made = step_if_finite(optimizer, [loss], max_norm=1.0, workers=Workers())
    assert made == (factor == 1.0)
    assert torch.equal(layer.weight, before) != made
