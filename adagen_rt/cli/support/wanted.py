"""What `generate` is asked for: classes, or prompts from options and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import click

from adagen_rt.cli.support.asked import split_lines
from adagen_rt.cli.support.classes import choose_classes
from adagen_rt.condition import Asked, ClassLabels
from adagen_rt.condition.checks import check_text
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.sampling.request import check_count

Command = TypeVar("Command", bound=Callable[..., Any])

#: Images of classes, where nobody says how many.
USUAL_COUNT = 16
#: Largest file of prompts, in bytes.
MAX_FILE = 1 << 26
#: The options' names.
WANTED = ("labels_given", "prompts", "prompt_file", "negative_prompts", "strict")
OPTIONS = (
    click.option(
        "--label",
        "labels_given",
        multiple=True,
        help="Class number, range such as 0-9, or name; repeatable. Images take the given "
        "classes in turn; without this option, all of them.",
    ),
    click.option(
        "--prompt",
        "prompts",
        multiple=True,
        help="Text, for an engine that takes prompts; repeatable. Images take the given prompts "
        "in turn; with --count alone, those that the engine came with.",
    ),
    click.option(
        "--prompt-file",
        type=click.Path(path_type=Path, allow_dash=True),
        help="A file with a prompt a line, or - for the standard input. Empty lines are left out.",
    ),
    click.option(
        "--negative-prompt",
        "negative_prompts",
        multiple=True,
        help="What guidance leads away from: once for all images, or as often as there are "
        "prompts. Default: the engine's own, usually the empty text.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse a prompt of more tokens than the engine reads, instead of cutting it.",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """What images are of.

    Attributes:
        labels_given: Classes.
        prompts: Texts.
        prompt_file: A file of texts.
        negative_prompts: One for all, or one for each prompt.
        strict: Whether a prompt that would be cut is refused.
    """

    labels_given: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    prompt_file: Path | None = None
    negative_prompts: tuple[str, ...] = ()
    strict: bool = False

    def choose(self, manifest: Manifest, count: int | None) -> list[Any]:
        """Choose the condition of each image, in the form that `make_request` reads.

        Args:
            manifest: The engine's.
            count: Number of images; None is the usual one, or one for each prompt.

        Raises:
            InputError: The engine has no such condition, or is of another kind.
        """
        if count is not None:
            check_count("count", count)
        if isinstance(manifest.condition, ClassLabels):
            self._refuse_prompts()
            return list(choose_classes(manifest, self.labels_given, count or USUAL_COUNT))
        if self.labels_given:
            expected = f"--prompt, as {manifest.name} takes texts and no classes"
            raise InputError("label", ", ".join(self.labels_given), expected)
        texts = [*self.prompts, *self._read()] or self._examples(manifest, count)
        given = manifest.condition.given(Asked(prompts=texts, negative_prompts=self._negatives()))
        return list(islice(cycle(given), len(texts) if count is None else count))

    def _examples(self, manifest: Manifest, count: int | None) -> list[str]:
        """Take the prompts that an engine came with, where only a number of images is given."""
        samples = list(getattr(manifest.condition, "samples", ()))
        if count is None or not samples:
            also = ", or --count alone for prompts that it came with" if samples else ""
            expected = f"--prompt or --prompt-file: {manifest.name} takes texts{also}"
            raise InputError("prompt", None, expected)
        return samples

    def _negatives(self) -> Any:
        if len(self.negative_prompts) == 1:
            return self.negative_prompts[0]
        return self.negative_prompts or None

    def _refuse_prompts(self) -> None:
        given = {
            "prompt": self.prompts,
            "prompt-file": self.prompt_file,
            "negative-prompt": self.negative_prompts,
            "strict": self.strict,
        }
        for name, value in given.items():
            if value:
                text = value[0] if isinstance(value, tuple) else str(value)
                expected = "--label: this engine takes classes and no texts"
                raise InputError(name, text, expected)

    def _read(self) -> Sequence[str]:
        """Read the prompts of the file, a line each."""
        path = self.prompt_file
        if path is None:
            return []
        try:
            with click.open_file(str(path), "rb") as file:
                content = file.read(MAX_FILE + 1)
            if len(content) > MAX_FILE:
                expected = f"at most {MAX_FILE} bytes; bulk is for very many images"
                raise InputError("prompt-file", f"{path}, which is larger", expected)
            lines = split_lines(content.decode("utf-8-sig"))
        except OSError as error:
            expected = f"a readable file ({error.strerror})"
            raise InputError("prompt-file", str(path), expected) from None
        except UnicodeDecodeError as error:
            got = f"byte {content[error.start]:#04x} at place {error.start}"
            raise InputError("prompt-file", got, "text in UTF-8") from None
        texts = [
            check_text(f"prompt-file, line {number}", line)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        if not texts:
            raise InputError("prompt-file", str(path), "a prompt a line")
        check_count("prompt-file", len(texts))
        return texts


def wanted_options(command: Command) -> Command:
    """Give a command the options of what images are of, and hand it one object, ``wanted``."""

    @wraps(command)
    def call(*arguments: Any, **given: Any) -> Any:
        wanted = Wanted(**{name: given.pop(name) for name in WANTED})
        return command(*arguments, wanted=wanted, **given)

    decorated: Any = call
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
