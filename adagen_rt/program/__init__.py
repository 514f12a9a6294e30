"""The adaptive loop as a device program: everything from a request to its pixels on one stream."""

from __future__ import annotations

from adagen_rt.program.build import build_program
from adagen_rt.program.call import HostCall
from adagen_rt.program.program import Program
from adagen_rt.program.runner import Runner

__all__ = ["HostCall", "Program", "Runner", "build_program"]
