"""A whole adaptive generation as one standard ONNX model.

The step rules are traced, not written a second time: arrays whose operations write nodes are handed
to the runtime's own loop.
"""

from __future__ import annotations

from adagen_rt.onegraph.write import write_bundle

__all__ = ["write_bundle"]
