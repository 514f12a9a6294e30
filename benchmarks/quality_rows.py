"""Measured rows of `quality.py`: those of earlier runs are not measured again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from kept import Row, keep_row, read_rows
from quality_best_of import Candidates
from quality_sources import title
from quality_tables import SCORES, Line

from adagen_rt.evaluation.judge import Judge
from adagen_rt.evaluation.sources import Made, Source, make_samples


class Measured:
    """Scores of choices; tables that have a line in common share its rows.

    Args:
        judge: Gives the scores.
        count: Images a row.
        maker: Who makes the images, in words.
        keep: JSON lines of finished rows, read once and then added to; None keeps none.
    """

    def __init__(self, judge: Judge, count: int, maker: str, keep: Path | None) -> None:
        self._judge, self._count, self._keep = judge, count, keep
        self._conditions = {"maker": maker, "judge": judge.describe(), "count": count}
        self._rows = read_rows(keep)
        self._candidates: dict[tuple[str, int], Candidates] = {}

    def row(self, source: Source, line: Line, seed: int) -> Row:
        """Scores, backbone rows an image and failures of a line's choice.

        Raises:
            AdagenError: The source cannot do what the choice says.
        """
        key = self._conditions | {"engine": title(source.manifest), "seed": seed}
        key |= asdict(line.choice) | {"best_of": line.best_of}
        key["std"] = source.manifest.refinement_std if line.choice.refine > 1 else None
        found = next((row for row in self._rows if key.items() <= row.items()), None)
        if found is None:
            found = key | self._measure(source, line, seed)
            self._rows.append(found)
            keep_row(self._keep, found)
        return found

    def _measure(self, source: Source, line: Line, seed: int) -> Row:
        made = self._make(source, line, seed)
        score = asdict(self._judge.score(made.images, made.labels.numpy()))
        facts = {"rows": made.rows / self._count, "failures": int(made.failed.sum())}
        return {name: score[name] for name in SCORES} | facts

    def _make(self, source: Source, line: Line, seed: int) -> Made:
        if line.best_of == 1:
            bar = f"{line.kind} {line.value:g}, seed {seed}"
            return make_samples(source, line.choice, self._count, seed, bar)
        # The lines of an engine come with a growing N and share their choice.
        name = title(source.manifest)
        if (name, seed) not in self._candidates:
            made = Candidates(source, line.choice, self._count, seed)
            self._candidates[name, seed] = made
        return self._candidates[name, seed].best_of(line.best_of)
