"""Measured rows of `quality.py`: those of earlier runs are not measured again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from kept import Row, keep_row, read_rows
from quality_tables import SCORES, Line

from adagen_rt.evaluation.images import draw_request, make_images
from adagen_rt.evaluation.judge import Judge
from adagen_rt.evaluation.sources import guided_sampler, title
from adagen_rt.sampling.best_of import Keeper
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.sampler import Sampler


class Measured:
    """Scores of lines; tables that have a line in common share its rows.

    Args:
        judge: Gives the scores.
        count: Images a row.
        batch_size: Images made together.
        maker: Who makes the images, in words.
        keep: JSON lines of finished rows, read once and then added to; None keeps none.
    """

    def __init__(
        self, judge: Judge, count: int, batch_size: int, maker: str, keep: Path | None
    ) -> None:
        self._judge, self._count, self._batch_size, self._keep = judge, count, batch_size, keep
        self._conditions = {"maker": maker, "judge": judge.describe(), "count": count}
        self._rows = read_rows(keep)
        self._keepers: dict[tuple[str, int], Keeper] = {}

    def row(self, source: Sampler, line: Line, seed: int) -> Row:
        """Scores, backbone rows an image and failures of a line.

        Raises:
            AdagenError: The source cannot do what the line says.
        """
        key = self._conditions | {"engine": title(source.manifest), "seed": seed}
        key |= asdict(line.params) | {"guidance": line.guidance}
        key["std"] = source.manifest.refinement_std if line.params.refine > 1 else None
        found = next((row for row in self._rows if key.items() <= row.items()), None)
        if found is None:
            found = key | self._measure(source, line, seed)
            self._rows.append(found)
            keep_row(self._keep, found)
        return found

    def _measure(self, source: Sampler, line: Line, seed: int) -> Row:
        result = self._make(source, line, seed)
        score = asdict(self._judge.score_result(result))
        rows = result.timings.backbone_rows / self._count
        facts = {"rows": rows, "failures": len(result.failures)}
        return {name: score[name] for name in SCORES} | facts

    def _make(self, source: Sampler, line: Line, seed: int) -> Result:
        guided = guided_sampler(source, line.guidance)
        request = draw_request(guided.manifest, self._count, seed, line.params)
        number = request.params.best_of
        if number == 1:
            bar = f"{line.kind} {line.value:g}, seed {seed}"
            return make_images(guided, request, self._batch_size, bar)
        # The lines of an engine come with a growing N, and differ in nothing else.
        key = title(source.manifest), seed
        if key not in self._keepers:
            self._keepers[key] = guided.keeper(request, self._batch_size)
        return self._keepers[key].best_of(number)
