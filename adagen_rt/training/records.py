"""Names of the files that a training loop keeps in its folder."""

from __future__ import annotations

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
