"""The families of generators, a folder each.

A folder has, without PyTorch: `spec.py` (its section of the manifest and its graphs), `rule.py`
(the step rule) and `program.py` (the same on a GPU); with PyTorch: `network.py`, and `model.py`
(export and training of the networks). `adagen_rt.engine.family` finds a folder by the family's
name.
"""
