"""TensorRT: plans built from an engine's graphs, checked, and run on a GPU.

modules.py    the two modules with one API, tensorrt and tensorrt_rtx
profiles.py   the fixed shapes that each graph is called with
record.py     what is known of a set of plans, and what speaks against using it
build.py      engine in, a set of plans out, whole or not at all
network.py    one graph to one plan
runtime.py    a set of plans on a GPU
graph.py      one plan at one set of shapes, as a device graph
jit_cache.py  kernels that were compiled when a plan ran
"""

from __future__ import annotations

from adagen_rt.backends.tensorrt.modules import MODULES

__all__ = ["MODULES"]
