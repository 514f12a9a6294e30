"""A whole adaptive generation as one standard ONNX model.

The step rules are traced, not written a second time: arrays whose operations write nodes are handed
to the runtime's own loop.
"""
