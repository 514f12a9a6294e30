"""TensorRT: plans built from an engine's graphs, checked, and run on a GPU.

modules.py    the two modules with one API, tensorrt and tensorrt_rtx
profiles.py   the fixed shapes that each graph is called with
record.py     the record of a set of plans, and the checks against it
places.py     where the plans of an engine lie
build.py      builds a set of plans of an engine, whole or not at all
whole.py      builds one plan of a whole generation in one file
network.py    builds one plan of one graph
runtime.py    a set of plans on a GPU
graph.py      one plan at one set of shapes, as a device graph
jit_cache.py  kernels that TensorRT for RTX compiled at a plan's first run
"""

from __future__ import annotations

from adagen_rt.backends.tensorrt.modules import MODULES

__all__ = ["MODULES"]
