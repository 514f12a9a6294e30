"""Features in the user's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from adagen_rt.evaluation.kept import PART, Features, kept_features
from adagen_rt.system import cache_folder

COUNT = 2 * PART + 100


class Looker:
    """Counts what it looks at, and stops once."""

    def __init__(self, patience: int) -> None:
        self.patience, self.seen = patience, 0

    def __call__(self, part: range) -> Features:
        if self.patience == 0:
            raise KeyboardInterrupt
        self.patience -= 1
        self.seen += len(part)
        return np.array(part, np.float32)[:, None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path))


def test_a_computation_that_was_stopped_goes_on_where_it_was() -> None:
    first, second, third = Looker(2), Looker(-1), Looker(0)
    with pytest.raises(KeyboardInterrupt):
        kept_features("key", COUNT, first)
    assert first.seen == 2 * PART
    found = kept_features("key", COUNT, second)
    assert second.seen == 100
    np.testing.assert_array_equal(found[:, 0], np.arange(COUNT))
    np.testing.assert_array_equal(kept_features("key", COUNT, third), found)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_part_is_computed_again(damage: bytes) -> None:
    kept_features("key", COUNT, Looker(-1))
    (cache_folder() / "features" / "key" / f"{PART}.npy").write_bytes(damage)
    again = Looker(-1)
    found = kept_features("key", COUNT, again)
    assert again.seen == PART
    np.testing.assert_array_equal(found[:, 0], np.arange(COUNT))


def test_sets_of_other_sizes_do_not_share_a_last_part() -> None:
    kept_features("key", COUNT, Looker(-1))
    assert len(kept_features("key", COUNT - 50, Looker(-1))) == COUNT - 50
