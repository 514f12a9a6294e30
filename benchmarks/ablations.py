"""Plots of the two ablations in docs/ablations.md, from the logs of their trainings.

    python benchmarks/ablations.py --logs benchmarks/results/ablations --out docs/images

The logs are the `policy/log.csv` of four runs of `adagen-rt train policy`; docs/ablations.md
has their commands.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

#: Whose policy is trained.
ENGINE = "fashion-maskgit"
HACKING = {"adversarial reward": "adversarial", "classifier's reward": "classifier"}
SMOOTHING = {"no smoothing": "steps32-smoothing-0", "smoothing 0.8": "steps32-smoothing-0.8"}
#: Name, title, runs and fields of each figure.
FIGURES = (
    ("hacking", "policies under two rewards", HACKING, ("fid", "accuracy")),
    ("smoothing", "32 steps, with and without smoothing", SMOOTHING, ("reward", "fid")),
)


def main() -> None:
    """Draws both figures."""
    parser = argparse.ArgumentParser(description="Draw the ablations.")
    parser.add_argument("--logs", type=Path, default=Path("benchmarks/results/ablations"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    for name, title, runs, fields in FIGURES:
        draw(options.logs, runs, fields, options.out / f"ablation-{name}.png", title)


def draw(
    folder: Path, runs: dict[str, str], fields: tuple[str, ...], path: Path, title: str
) -> None:
    """One panel a field, one line a run."""
    figure, panels = plt.subplots(1, len(fields), figsize=(4.5 * len(fields), 3.2))
    for panel, name in zip(panels, fields, strict=True):
        for label, run in runs.items():
            points = read(folder / f"{run}.csv", name)
            panel.plot(
                *zip(*points, strict=True), marker="." if name != "reward" else "", label=label
            )
        panel.set_xlabel("update")
        panel.set_ylabel({"fid": "FID, 1,000 images"}.get(name, name))
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.suptitle(f"{ENGINE}: {title}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def read(path: Path, name: str) -> list[tuple[int, float]]:
    """The updates at which a column has a value, and the values."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [(int(row["update"]), float(row[name])) for row in rows if row[name]]


if __name__ == "__main__":
    main()
