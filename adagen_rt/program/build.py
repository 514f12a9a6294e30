"""The device program of an engine, whatever its family."""

from __future__ import annotations

from adagen_rt.errors import EngineError
from adagen_rt.program.program import Program
from adagen_rt.program.setting import Setting


def build_program(setting: Setting) -> Program:
    """Build the device program of an engine.

    The family's rule and the kernels' headers define a step. A program defines only the order of
    the work and the buffers.

    Raises:
        EngineError: The family has no program, or a graph's tensors differ from the program's
            buffers.
        DeviceError: There is too little memory; all memory has been given back.
    """
    try:
        program = setting.manifest.plugin.program(setting)
        if program is None:
            family = setting.manifest.family.family
            raise EngineError(
                f"family {family}: has no device program; use the backend onnxruntime"
            )
        return program
    except BaseException:
        setting.buffers.free()
        raise
