"""Every error this package raises on purpose.

AdagenError
├── InputError          an argument is out of its range
├── EngineError         an engine folder is incomplete, altered or of another format
├── CheckpointError     a weight file is unsafe, unreadable or does not fit the model
├── RecipeError         a recipe file is not valid
├── DownloadError       a file cannot be fetched, or is not the one that was meant
├── DeviceError         a GPU or its driver is missing or failed
├── MissingExtraError   an optional dependency is not installed
├── KernelsError        the compiled kernels are missing, or were built from other sources
├── ExportError         an exported graph does not agree with the model it came from
├── TrainingError       a training cannot go on: its losses are not finite, or its time was over
├── PlanError           a TensorRT plan cannot be built, or is damaged or made for something else
├── QueueFullError      no more requests can wait; another try makes sense later
├── DeadlineError       a request's time was over before its image was made
├── ServerError         a server refuses a request, or fails again and again
├── SampleError         a sample met a non-finite number
├── ForkedError         what was loaded before a fork is used in the child
└── StoppedError        a pipeline, scheduler or server takes no more requests
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class AdagenError(Exception):
    """Base of all errors raised on purpose; its message is one the user can act on."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By itself, an exception is made again of its message alone.
        return _restore, (type(self), self.args, vars(self))


class InputError(AdagenError, ValueError):
    """An argument is out of its range.

    Args:
        field: The argument's name as the caller typed it.
        got: The value given.
        expected: Description of an acceptable value.
    """

    def __init__(self, field: str, got: Any, expected: str) -> None:
        super().__init__(f"{field}: got {shown(got)}, expected {expected}")
        self.field = field

    def renamed(self, field: str) -> AdagenError:
        """Make the same error of an argument that has another name where it was given."""
        message = field + str(self).removeprefix(self.field)
        return _restore(type(self), (message,), {"field": field})


class EngineError(AdagenError):
    """An engine folder is incomplete, altered or of another format."""


class CheckpointError(AdagenError):
    """A weight file is unsafe, unreadable or does not fit the model."""


class RecipeError(AdagenError):
    """A recipe file is not valid."""


class DownloadError(AdagenError):
    """A file cannot be fetched, or is not the one that was meant."""


class DeviceError(AdagenError):
    """A GPU or its driver is missing or failed."""


class ExportError(AdagenError):
    """An exported graph does not agree with the model it came from."""


class TrainingError(AdagenError):
    """Losses or rewards of a training were not finite again and again."""


class PlanError(AdagenError):
    """A TensorRT plan cannot be built, or is damaged or made for something else."""


class MissingExtraError(AdagenError, ImportError):
    """An optional dependency is not installed.

    Args:
        module: The module that could not be imported.
        extra: The extra of this package that installs it.
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"{module} is not installed; install it with: pip install 'adagen-rt[{extra}]'"
        )
        self.extra = extra


@contextmanager
def needs_extra(extra: str, module: str | None = None) -> Iterator[None]:
    """Say which extra has what the block imports.

    Args:
        extra: The extra of this package.
        module: What is then told to be missing; None tells what could not be imported.

    Raises:
        MissingExtraError: An import failed.
    """
    try:
        yield
    except AdagenError:
        raise  # the kernels, or another extra
    except ImportError as error:
        raise MissingExtraError(module or error.name or extra, extra) from error


class KernelsError(AdagenError, ImportError):
    """The compiled kernels are missing, or were built from other sources.

    Args:
        fault: What is wrong.
    """

    def __init__(self, fault: str) -> None:
        root = Path(__file__).resolve().parents[1]
        source = root if (root / "pyproject.toml").is_file() else "--force-reinstall adagen-rt"
        super().__init__(f"{fault}; type: pip install {source}")


class QueueFullError(AdagenError):
    """No more requests can wait; another try makes sense later.

    Args:
        limit: What can wait.
        retry_after: Seconds until all that waits may be done.
        what: What is counted.
    """

    def __init__(self, limit: int, retry_after: float, what: str = "requests") -> None:
        super().__init__(f"queue: full, {limit} {what} wait; try again in {retry_after:.1f} s")
        self.retry_after = retry_after


class DeadlineError(AdagenError):
    """A request's time was over before its image was made."""

    def __init__(self, timeout: float) -> None:
        super().__init__(f"timeout: the image was not made within {timeout:g} s")


class ServerError(AdagenError):
    """A server refuses a request, or fails again and again.

    Args:
        message: What it says.
        status: HTTP status of its answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SampleError(AdagenError):
    """A sample met a non-finite number.

    Args:
        step: Backbone evaluations done by then.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the sample met a non-finite number at step {step}")
        self.step = step


class ForkedError(AdagenError):
    """What was loaded before a fork is used in the child, where its threads are not.

    Args:
        what: What was loaded.
        process: The process that loaded it.
    """

    def __init__(self, what: str, process: int) -> None:
        super().__init__(
            f"{what} was loaded in process {process}, before a fork; load it in the child, after "
            "the fork, or start children with multiprocessing's method spawn"
        )


class StoppedError(AdagenError):
    """A pipeline, scheduler or server takes no more requests."""


class PromptWarning(UserWarning):
    """A prompt was used only in part: it has more tokens than a text encoder reads."""


def shown(value: Any, most: int = 200) -> str:
    """Show a caller's value in at most ``most`` characters.

    Python refuses to write integers of thousands of digits.
    """
    try:
        text = repr(value)
    except ValueError:
        return "a value of thousands of digits"
    return text if len(text) <= most else text[: most - 3] + "..."


def _restore(kind: type[AdagenError], args: tuple[Any, ...], state: dict[str, Any]) -> AdagenError:
    """Make a pickled error again."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def as_integer(field: str, value: Any, low: int, high: int) -> int:
    """Return ``value`` as an int if it is one between ``low`` and ``high``.

    Raises:
        InputError: It is not.
    """
    expected = f"an integer from {low} to {high}"
    # NumPy's booleans answer to `index` too.
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        raise InputError(field, value, expected)
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(field, value, expected) from None
    if not low <= number <= high:
        raise InputError(field, number, expected)
    return number
