"""Golden numbers for tests: where they lie and the noise that they were made with.

`ADAGEN_GOLDEN` points the tests at another folder of golden files and
`ADAGEN_GOLDEN_TAG` names the tag that those were made with.
"""

import os
import zlib
from pathlib import Path

import numpy as np

TAG = os.environ.get("ADAGEN_GOLDEN_TAG", "golden6")
DATA = Path(__file__).parent / "data"
FOLDER = Path(os.environ.get("ADAGEN_GOLDEN") or DATA)

POLICY_SCALE = {"linear3.weight": 0.5}
"""What a seeded policy's last layer is multiplied by; the `_wild` files have their own."""
WILD_POLICY_SCALE = {"linear3.weight": -6.0}


def golden(name):
    """Return one golden file's arrays by name, for example `golden("maskgit")`."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def rng(tag):
    """Return the generator that a full tag (run's tag included) names."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(tag.encode())))


def normal_of(tag, shape):
    """Return standard normal float32 noise for a full tag."""
    return rng(tag).standard_normal(shape, dtype=np.float32)


def normal(name, shape):
    """Return standard normal float32 noise for `TAG/name`."""
    return normal_of(f"{TAG}/{name}", shape)


def gumbel_of(tag, shape):
    """Return standard Gumbel float32 noise for a full tag."""
    uniform = np.clip(rng(tag).random(shape, dtype=np.float32), 1e-7, 1 - 1e-7)
    return -np.log(-np.log(uniform))


def gumbel(name, shape):
    """Return standard Gumbel float32 noise for `TAG/name`."""
    return gumbel_of(f"{TAG}/{name}", shape)


def seeded(module, name, tag=TAG, **options):
    """Fill a torch module with the seeded weights of `tag/name` and return it for inference."""
    from adagen_rt.models.seeded import seeded_fill

    seeded_fill(module, tag, name, **options)
    return module.eval()


def deviation(got, expected):
    """Return the largest difference over the expected array's standard deviation."""
    expected = np.asarray(expected)
    return float(np.abs(np.asarray(got) - expected).max() / expected.std())
