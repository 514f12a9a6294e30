"""What a device program is built for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from adagen_rt.backends.base import DeviceSessions
from adagen_rt.cuda import Driver
from adagen_rt.engine.manifest import Manifest
from adagen_rt.program.buffers import Buffers


@dataclass(frozen=True)
class Setting:
    """Settings that one program is built for.

    Attributes:
        manifest: The engine's.
        graphs: Sessions of the engine's graphs.
        driver: The GPU.
        stream: Stream that copies initial values.
        batch: Samples of one run.
        steps: Backbone evaluations.
        policies: Names of the policy graphs: none under a static schedule; with two, each
            sample's fidelity is the share of the second.
    """

    manifest: Manifest
    graphs: DeviceSessions
    driver: Driver
    stream: int
    batch: int
    steps: int
    policies: tuple[str, ...]

    @cached_property
    def buffers(self) -> Buffers:
        """The program's memory."""
        return Buffers(self.driver, self.stream)


def request_fields(setting: Setting) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and dtype of a request's arrays on the device, by name."""
    batch, condition = setting.batch, setting.manifest.condition
    count, rows = condition.copies * batch, condition.tensors
    fields = {name: ((count, *row.shape), row.dtype) for name, row in rows.items()}
    fields["seeds"] = ((batch,), "int64")
    if len(setting.policies) > 1:
        fields["fidelity"] = ((batch,), "float32")
    return fields
