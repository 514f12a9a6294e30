"""Which pictures train, and which are kept to judge by.

Every choice follows from a hash of the names, so that another version of a package moves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

#: Share of concepts that no part of training sees.
CONCEPTS = 0.05
#: Shares of (concept, style) pairs whose concept training sees in another style only.
PAIRS, VALIDATION = 0.10, 0.05

PARTS = ("train", "validation", "held-out-pairs", "held-out-concepts")


def part_of(concept: str, style: str, styles: Collection[str]) -> str:
    """Choose the part of a concept's pictures in a style; skin tones stay together.

    Args:
        concept: Code points without a skin tone.
        style: The style.
        styles: All styles that have a picture of the concept.

    Returns:
        One of `PARTS`. At least one style of a concept trains, unless none does.
    """
    if _share(concept) < CONCEPTS:
        return "held-out-concepts"
    shares = {other: _share(f"{concept} {other}") for other in styles}
    # Whatever is drawn, the last one trains.
    if style == max(shares, key=shares.__getitem__):
        return "train"
    if shares[style] < PAIRS:
        return "held-out-pairs"
    return "validation" if shares[style] < PAIRS + VALIDATION else "train"


def _share(name: str) -> float:
    """Map a name to [0, 1), evenly."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
