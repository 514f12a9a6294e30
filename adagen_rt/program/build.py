"""The device programs of the four families: which graphs and kernels run, on which buffers.

What a step means is said once, in ``adagen_rt/families`` and in the kernels' headers; here
is only the order of the work and where everything lies.
"""

from __future__ import annotations

from adagen_rt.engine.manifest import DiffusionSpec, VARSpec
from adagen_rt.families.diffusion.program import diffusion_program
from adagen_rt.families.maskgit.program import maskgit_program
from adagen_rt.families.var.program import var_program
from adagen_rt.program.builder import Setting
from adagen_rt.program.program import Program


def build_program(setting: Setting) -> Program:
    """The device program of an engine.

    Raises:
        EngineError: A graph's tensors are not what the program feeds and reads.
        DeviceError: There is too little memory; what was taken has been given back.
    """
    try:
        return _program(setting)
    except BaseException:
        setting.buffers.free()
        raise


def _program(setting: Setting) -> Program:
    spec = setting.manifest.family
    if isinstance(spec, VARSpec):
        return var_program(setting, spec)
    if isinstance(spec, DiffusionSpec):
        return diffusion_program(setting, spec)
    return maskgit_program(setting, spec)
