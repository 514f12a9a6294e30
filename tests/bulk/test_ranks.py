"""Launchers number processes in variables of their own."""

import pytest

from adagen_rt.bulk.ranks import find_rank
from adagen_rt.errors import InputError

TORCHRUN = {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
SRUN = {
    "SLURM_JOB_ID": "9",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_NTASKS": "8",
}
BATCH = {"SLURM_JOB_ID": "9", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}
POD = {"JOB_COMPLETION_INDEX": "5"}


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ((None, None), {}, (0, 1)),
        ((None, 1), {}, (0, 1)),
        ((3, 7), {}, (3, 7)),
        ((3, 7), TORCHRUN, (3, 7)),
        ((None, None), TORCHRUN, (2, 4)),
        ((None, None), SRUN, (1, 3)),
        ((None, None), {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
        ((None, None), {**SRUN, **TORCHRUN}, (2, 4)),
        ((None, None), {**POD, **TORCHRUN}, (2, 4)),
        ((None, 8), POD, (5, 8)),
        ((0, 1), BATCH, (0, 1)),
        ((None, None), {**BATCH, "SLURM_NTASKS": "1"}, (0, 1)),
        ((None, None), {"WORLD_SIZE": "4"}, (0, 1)),
    ],
)
def test_where_a_rank_comes_from(given, environment, expected):
    found = find_rank(*given, environment)
    assert (found.rank, found.world) == expected


@pytest.mark.parametrize(
    ("given", "environment", "line"),
    [
        ((1, None), {}, "world: got 'nothing beside --rank'"),
        ((None, 4), {}, "rank: got 'nothing beside --world'"),
        ((4, 4), {}, "rank: got 4, expected an integer from 0 to 3"),
        ((0, 0), {}, "world: got 0"),
        ((-1, 2), {}, "rank: got -1"),
        ((None, None), POD, "world: got 'nothing beside JOB_COMPLETION_INDEX of Kubernetes'"),
        ((None, 5), POD, "rank: got 5, expected an integer from 0 to 4"),
        ((None, None), {"RANK": "0"}, "WORLD_SIZE"),
        ((None, None), {"RANK": "x", "WORLD_SIZE": "2"}, "RANK: got 'x'"),
        ((None, None), {"RANK": "0", "WORLD_SIZE": "9" * 5000}, "WORLD_SIZE: got "),
        ((None, None), BATCH, "srun"),
    ],
)
def test_half_a_rank_is_refused(given, environment, line):
    with pytest.raises(InputError) as caught:
        find_rank(*given, environment)
    assert line in str(caught.value)


@pytest.mark.parametrize(("shards", "world"), [(10, 3), (2, 5), (1, 1), (7, 7)])
def test_every_shard_is_somebodys_and_nobody_elses(shards, world):
    parts = [find_rank(rank, world, {}).share(range(shards)) for rank in range(world)]
    assert sorted(shard for part in parts for shard in part) == list(range(shards))
