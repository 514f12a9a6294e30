"""Plain tables and short numbers for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table: columns aligned to the left, two spaces apart, a line under the header."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def quantity(number: float | None) -> str:
    """Format a number to three digits with a decimal prefix: 1234567 is ``1.23 M``."""
    if number is None:
        return "unknown"
    prefixes = ["", " k", " M", " G", " T"]
    while abs(number) >= 999.5 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    return f"{number:.3g}{prefixes[0]}"
