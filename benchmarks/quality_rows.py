"""Measured rows of `quality.py`: those of earlier runs are not measured again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from kept import Row, keep_row, read_rows
from quality_tables import BOUNDS, POLICY, SCORES, Line

from adagen_rt.evaluation.baselines import PairedBootstrap, groups_of, without_sample
from adagen_rt.evaluation.images import draw_request, make_images, watched
from adagen_rt.evaluation.judge import Judge, Seen
from adagen_rt.evaluation.sources import guided_sampler, title
from adagen_rt.sampling.best_of import Keeper
from adagen_rt.sampling.playback import Outputs
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.sampler import Sampler

#: How often the images are drawn anew for an interval.
RESAMPLED = 200


@dataclass(frozen=True, eq=False)
class Recording:
    """A policy's images of one seed, what it put out, and how sure ratios over them are."""

    result: Result
    outputs: Outputs
    seen: Seen
    drawn: PairedBootstrap


class Measured:
    """Scores of lines; tables that have a line in common share its rows.

    Args:
        judge: Gives the scores.
        count: Images a row.
        batch_size: Images made together.
        maker: Who makes the images, in words.
        keep: JSON lines of finished rows, read once and then added to; None keeps none.
        records: Whether baselines are coming, so that the policy's images are made for them too.
    """

    def __init__(
        self,
        judge: Judge,
        count: int,
        batch_size: int,
        maker: str,
        keep: Path | None,
        records: bool,
    ) -> None:
        self._judge, self._count, self._batch_size, self._keep = judge, count, batch_size, keep
        self._conditions = {"maker": maker, "judge": judge.describe(), "count": count}
        self._rows = read_rows(keep)
        self._records = records
        self._keepers: dict[tuple[str, int], Keeper] = {}
        self._recorded: dict[tuple[str, int], Recording] = {}

    def row(self, source: Sampler, line: Line, seed: int) -> Row:
        """Scores, backbone rows an image and failures of a line.

        Raises:
            AdagenError: The source cannot do what the line says.
        """
        key = self._conditions | {"engine": title(source.manifest), "seed": seed}
        key |= asdict(line.params) | {"guidance": line.guidance}
        if line.baseline:
            key["baseline"] = line.baseline
        key["std"] = source.manifest.refinement_std if line.params.refine > 1 else None
        found = next((row for row in self._rows if _is_of(row, key)), None)
        if found is None:
            found = key | self._measure(source, line, seed)
            self._rows.append(found)
            keep_row(self._keep, found)
        return found

    def _measure(self, source: Sampler, line: Line, seed: int) -> Row:
        result, seen = self._make(source, line, seed)
        score = asdict(self._judge.score(seen))
        rows = result.timings.backbone_rows / self._count
        facts: Row = {"rows": rows, "failures": len(result.failures)}
        if line.baseline:
            facts |= self._compare(seen, title(source.manifest), seed)
        return {name: score[name] for name in SCORES} | facts

    def _make(self, source: Sampler, line: Line, seed: int) -> tuple[Result, Seen]:
        guided = guided_sampler(source, line.guidance)
        request = draw_request(guided.manifest, self._count, seed, line.params)
        if line.baseline:
            result = self._play(guided, request, line.baseline, seed)
        elif self._records and line.params == POLICY:
            recorded = self._record(guided, request, seed)
            return recorded.result, recorded.seen
        elif request.params.best_of > 1:
            result = self._best_of(guided, request, seed)
        else:
            bar = f"{line.kind} {line.value:g}, seed {seed}"
            result = make_images(guided, request, self._batch_size, bar)
        return result, self._judge.look(result)

    def _best_of(self, source: Sampler, request: Request, seed: int) -> Result:
        """Keep the best candidates; an engine's lines come with a growing N, and add to them."""
        key = title(source.manifest), seed
        if key not in self._keepers:
            self._keepers[key] = source.keeper(request, self._batch_size)
        return self._keepers[key].best_of(request.params.best_of)

    def _play(self, source: Sampler, request: Request, baseline: str, seed: int) -> Result:
        """Play what a policy put out, once it is known, without the sample in it."""
        outputs = self._record(source, request, seed).outputs
        groups = groups_of(source.manifest.condition, request.rows)
        played = without_sample(baseline, outputs, groups)
        play = partial(source.play, outputs=played)
        return watched(play, request, self._batch_size, f"{baseline}, seed {seed}")

    def _record(self, source: Sampler, request: Request, seed: int) -> Recording:
        """Make the policy's images of a seed, once."""
        key = title(source.manifest), seed
        if key not in self._recorded:
            made = watched(source.record, request, self._batch_size, f"policy, seed {seed}")
            seen = self._judge.look(made[0])
            drawn = PairedBootstrap(seen.features, self._judge.reference, RESAMPLED)
            self._recorded[key] = Recording(*made, seen, drawn)
        return self._recorded[key]

    def _compare(self, seen: Seen, engine: str, seed: int) -> Row:
        """Estimate between which bounds a baseline's distance over the policy's lies."""
        bounds = self._recorded[engine, seed].drawn.interval(seen.features)
        return dict(zip(BOUNDS, bounds, strict=True))


def _is_of(row: Row, key: Row) -> bool:
    """Tell whether a kept row is of what a key says; one of a baseline is of nothing else."""
    return key.items() <= row.items() and row.get("baseline") == key.get("baseline")
