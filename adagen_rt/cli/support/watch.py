"""What is shown while images are being made."""

from __future__ import annotations

from types import TracebackType

from adagen_rt.progress import bar
from adagen_rt.sampling.result import Step


class ProgressBar:
    """A bar over the steps of all samples, on stderr.

    Args:
        total: Samples times steps.
        quiet: Whether to show nothing; without a terminal on stderr, nothing is shown either.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._bar = bar(total=total, unit="step", hidden=quiet, leave=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def add(self, step: Step) -> None:
        """Advance the bar by one step of a batch."""
        self._bar.update(step.advanced)
