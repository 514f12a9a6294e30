"""The adaptive loop as a device program: everything between labels and pixels on one stream."""

from __future__ import annotations

from adagen_rt.device.call import HostCall
from adagen_rt.device.families import build_program
from adagen_rt.device.program import Program
from adagen_rt.device.runner import Outcome, Runner

__all__ = ["HostCall", "Outcome", "Program", "Runner", "build_program"]
