"""Where the arrays of a loop live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.types import Array


@dataclass(frozen=True)
class Memory:
    """The way to a loop's arrays and back; by itself, the host's own NumPy arrays.

    Attributes:
        put: Brings a NumPy array to where the loop runs.
        get: Brings an array of the loop's to the host.
    """

    put: Callable[[npt.NDArray[Any]], Array] = lambda values: values
    get: Callable[[Array], npt.NDArray[Any]] = lambda values: np.asarray(values)


HOST = Memory()
