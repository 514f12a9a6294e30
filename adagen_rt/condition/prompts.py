"""Prompts: the condition of generators that were trained on captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr, field_validator

from adagen_rt.condition.checks import as_list, check_text, one_for_each
from adagen_rt.condition.spec import Asked, ConditionSpec, Guidance, RowSpec
from adagen_rt.condition.text import SHOWN, TextTokens, Tokenizers, Tokens
from adagen_rt.errors import InputError, shown
from adagen_rt.types import Arrays

#: Names of the null twin's rows begin so.
NEGATIVE = "negative."
#: Rows that only people read.
TEXTS = ("prompt", "negative_prompt", "cut")
#: Characters of a prompt that a file's name may have.
MAX_SLUG = 48
#: Prompts that show what an engine does, where its manifest has none.
EXAMPLES = (
    "a photo of a red fox in the snow",
    "an astronaut riding a horse on the moon",
    "a bowl of ripe lemons, oil painting",
    "a lighthouse on a cliff at sunset",
    "a steam train crossing a stone bridge",
    "a small robot watering flowers, watercolour",
    "an aerial view of a river delta",
    "a black cat asleep on a stack of books",
)


@dataclass(frozen=True)
class Prompt:
    """What one image is asked for.

    Attributes:
        text: The prompt; an empty one asks for nothing in particular.
        negative: What guidance leads away from; None takes the engine's own.
    """

    text: str
    negative: str | None = None


class Prompts(ConditionSpec):
    """Texts, as the tokens that text encoders read.

    Attributes:
        encoders: Tokens of each text encoder.
        negative: The negative prompt of who gives none.
        samples: Prompts that show what the engine does.
    """

    noun: ClassVar[str] = "prompts"
    common_null: ClassVar[bool] = False
    one_by_one: ClassVar[bool] = True
    kind: Literal["prompt"] = "prompt"
    guidance: Guidance = "classifier-free"
    encoders: tuple[TextTokens, ...] = Field(min_length=1, max_length=8)
    negative: str = ""
    samples: tuple[str, ...] = ()
    _tokenizers: Tokenizers = PrivateAttr(default_factory=Tokenizers)

    @field_validator("encoders")
    @classmethod
    def _name_each(cls, value: tuple[TextTokens, ...]) -> tuple[TextTokens, ...]:
        names = [encoder.name for encoder in value]
        if len(set(names)) != len(names):
            raise ValueError(f"got the names {', '.join(names)}, expected each once")
        return value

    @property
    def tensors(self) -> dict[str, RowSpec]:
        """The ids of every encoder, and the masks of those that read one."""
        return {name: row for one in self.encoders for name, row in one.tensors.items()}

    @property
    def asked_tensors(self) -> dict[str, RowSpec]:
        """The same, and under classifier-free guidance those of the negative prompt."""
        twins = {NEGATIVE + name: row for name, row in self.tensors.items()}
        return self.tensors | (twins if self.copies == 2 else {})

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The ids that each tokenizer has, 0 and 1 of masks, and the tokens of a lead."""
        found: dict[str, tuple[int, int]] = {}
        for encoder in self.encoders:
            last = max(encoder.padding_id, *self._tokenizers.find(encoder).get_vocab().values())
            own = {"ids": (0, last), "mask": (0, 1), "led": (0, encoder.led)}
            found |= {f"{encoder.name}_{kind}": span for kind, span in own.items()}
        return {name: found[name.removeprefix(NEGATIVE)] for name in self.asked_tensors}

    @property
    def never_blank(self) -> frozenset[str]:
        """The masks of encoders whose tokenizer adds tokens to every text, also to an empty one."""
        return frozenset(
            f"{start}{one.name}_mask"
            for start, negative in (("", False), (NEGATIVE, True))[: self.copies]
            for one in self.encoders
            if one.mask and self._tokenizers.encode(one, "", negative).count
        )

    @property
    def variety(self) -> int:
        """The number of prompts that show what the engine does; there is no end of others."""
        return len(self.samples or EXAMPLES)

    @property
    def summary(self) -> str:
        """What is read of a prompt, and how it guides."""
        lengths = ", ".join(f"{one.length} tokens of {one.name}" for one in self.encoders)
        ways = {
            "classifier-free": "guided away from a negative prompt",
            "embedded": "guided by a number that the backbone reads",
            "none": "without guidance",
        }
        return f"prompts of {lengths}; {ways[self.guidance]}"

    @property
    def files(self) -> tuple[str, ...]:
        """The tokenizers' files."""
        return tuple(dict.fromkeys(one.file for one in self.encoders))

    def within(self, files: Path | Mapping[str, str]) -> Prompts:
        """See `ConditionSpec`."""
        copy = self.model_copy()
        copy._tokenizers = Tokenizers(files)
        return copy

    def load(self) -> None:
        """See `ConditionSpec`."""
        for encoder in self.encoders:
            for negative in (False, True)[: self.copies]:
                self._tokenizers.find(encoder, negative)

    def read_ahead(self, asked: Iterable[Mapping[str, Any]]) -> None:
        """Tokenise texts."""
        given = ((one.get(name), name == TEXTS[1]) for one in asked for name in TEXTS[:2])
        for text, negative in dict.fromkeys(one for one in given if isinstance(one[0], str)):
            with suppress(InputError):
                self._tokens(check_text("prompt", text), negative)

    def given(self, asked: Asked) -> Sequence[Any]:
        """Pair prompts with their negative ones; one negative prompt is for all."""
        if asked.labels is not None:
            raise asked.refusal("labels", "prompts and no labels: this engine takes texts")
        if asked.single and asked.prompts is None:
            raise asked.refusal("prompts", "a text: this engine takes prompts")
        negatives, texts = asked.negative_prompts, as_list(asked.prompts)
        if negatives is None or texts is None:
            return asked.prompts
        pairs = one_for_each("negative_prompts", negatives, texts)
        return [Prompt(text, negative) for text, negative in pairs]

    def parse(self, given: Sequence[Any]) -> Arrays:
        """Tokenise texts, or `Prompt` objects; a text is read once however often it is there."""
        asked = [one if isinstance(one, Prompt) else Prompt(one) for one in given]
        rows = self._read("prompt", [check_text("prompt", one.text) for one in asked], "")
        negatives = [self._negative(one) for one in asked]
        if self.copies == 1:
            return rows
        others = self._read("negative_prompt", negatives, NEGATIVE)
        pairs = zip(rows["cut"], others["cut"], strict=True)
        return {**rows, **others, "cut": _objects(["; ".join(filter(None, p)) for p in pairs])}

    def inputs(self, rows: Arrays) -> Arrays:
        """Select the ids and masks."""
        return {name: values for name, values in rows.items() if name not in TEXTS}

    def kept(self, rows: Arrays) -> Arrays:
        """Select the texts."""
        texts = {f"{name}s": rows[name] for name in TEXTS[:2] if name in rows}
        return {name: np.asarray(values, np.str_) for name, values in texts.items()}

    def notes(self, rows: Arrays) -> list[str]:
        """Name the parts of prompts that were cut, each once."""
        return list(dict.fromkeys(filter(None, rows["cut"].tolist())))

    def null(self, rows: Arrays) -> Arrays:
        """Return the negative prompt's ids and masks for every row."""
        return {name: rows[NEGATIVE + name] for name in self.tensors}

    def examples(self, count: int) -> list[Any]:
        """Choose the manifest's prompts in turn, or some common ones."""
        known = self.samples or EXAMPLES
        return [known[place % len(known)] for place in range(count)]

    def trial(self, count: int) -> Arrays:
        """Make ids that every encoder has, and masks of some length."""
        rows: Arrays = {}
        for one in filter(lambda encoder: encoder.led, self.encoders):
            rows[f"{one.name}_led"] = np.full(count, one.led, np.int64)
            rows[f"{NEGATIVE}{one.name}_led"] = np.zeros(count, np.int64)
        for name, row in self.tensors.items():
            if not row.shape:
                continue
            ids = np.arange(count * row.shape[0], dtype=np.int64).reshape(count, -1) % 2
            rows[name] = np.maximum(ids, 1 - ids[:, :1]) if name.endswith("_mask") else ids
            rows[NEGATIVE + name] = np.ones_like(ids) if name.endswith("_mask") else 1 - ids
        return rows

    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """Return the texts, and what of them was cut."""
        texts = {name: str(rows[name][place]) for name in TEXTS if name in rows}
        if not texts["cut"]:
            del texts["cut"]
        return texts

    def again(self, described: Mapping[str, Any]) -> Any:
        """Return the prompt with its negative one."""
        return Prompt(described["prompt"], described.get("negative_prompt"))

    def title(self, rows: Arrays, place: int) -> str:
        """Return the beginning of the prompt."""
        return shown(str(rows["prompt"][place]), SHOWN)

    def count_tokens(self, described: Mapping[str, Any]) -> int:
        """Count the tokens of the prompt and the negative one, of the encoder that reads most."""
        asked = [
            (str(described[name]), name == TEXTS[1]) for name in TEXTS[:2] if name in described
        ]
        return sum(max(one.count for one in self._tokens(*text).values()) for text in asked)

    def slug(self, rows: Arrays, place: int) -> str:
        """Return the first words of the prompt, in letters that every system has."""
        words = re.findall("[a-z0-9]+", str(rows["prompt"][place])[:MAX_SLUG].lower())
        return "-".join(words)

    def _negative(self, one: Prompt) -> str:
        if one.negative is None:
            return self.negative
        if self.copies == 1:
            expected = f"none: guidance of this engine is {self.guidance}, without a second row"
            raise InputError("negative_prompt", one.negative, expected)
        return check_text("negative_prompt", one.negative)

    def _read(self, field: str, texts: list[str], prefix: str) -> Arrays:
        """Make the rows of texts: the texts, their tokens, and what of them was cut."""
        negative = prefix == NEGATIVE
        known = {text: self._tokens(text, negative) for text in dict.fromkeys(texts)}
        cut = {text: _told(field, tokens) for text, tokens in known.items()}
        rows: Arrays = {field: _objects(texts), "cut": _objects([cut[text] for text in texts])}
        for encoder in self.encoders:
            found = [known[text][encoder.name] for text in texts]
            name = f"{prefix}{encoder.name}"
            rows[f"{name}_ids"] = _integers([one.ids for one in found], encoder.length)
            if encoder.mask:
                rows[f"{name}_mask"] = _integers([one.mask for one in found], encoder.length)
            if encoder.led:
                rows[f"{name}_led"] = np.full(len(texts), 0 if negative else encoder.led, np.int64)
        return rows

    def _tokens(self, text: str, negative: bool) -> dict[str, Tokens]:
        """Tokenise a text for every encoder, by the encoder's name."""
        return {one.name: self._tokenizers.encode(one, text, negative) for one in self.encoders}


def _told(field: str, found: dict[str, Tokens]) -> str:
    """Name what of a text does not fit, for every encoder that cuts it."""
    parts = [
        f"{shown(tokens.cut, SHOWN)} does not fit the {tokens.count} tokens of {name}"
        for name, tokens in found.items()
        if tokens.cut
    ]
    return f"{field}: {', '.join(parts)}" if parts else ""


def _integers(values: list[list[int]], length: int) -> Any:
    return np.array(values, np.int64).reshape(len(values), length)


def _objects(texts: list[str]) -> Any:
    """Make an array that refers to texts, however long each is."""
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
