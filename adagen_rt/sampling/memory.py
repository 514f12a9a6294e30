"""Memory of a loop's arrays: the host's, or a device's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.types import Array


@dataclass(frozen=True)
class Memory:
    """Transfers between the host's arrays and a loop's; by default both are NumPy arrays.

    Attributes:
        put: Copies a NumPy array to the loop's device.
        get: Copies an array of the loop to the host.
    """

    put: Callable[[npt.NDArray[Any]], Array] = lambda values: values
    get: Callable[[Array], npt.NDArray[Any]] = lambda values: np.asarray(values)


HOST = Memory()
