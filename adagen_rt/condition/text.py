"""Texts as the token ids that a text encoder reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from adagen_rt.condition.spec import RowSpec
from adagen_rt.errors import EngineError, needs_extra
from adagen_rt.types import Spec

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Largest number of tokens that a text encoder reads.
MAX_TOKENS = 8192
#: Texts whose tokens are remembered.
RECENT = 1024
#: Characters of a cut part that a message has.
SHOWN = 80


class TextTokens(Spec):
    """Tokens of one text encoder.

    A prompt always has the same number of tokens, cut or filled up at its end, so that no
    sample depends on the lengths of others.

    Attributes:
        name: Beginning of the names of its inputs, ``NAME_ids`` and ``NAME_mask``.
        file: The tokenizer in the engine folder, a ``tokenizer.json`` of the library `tokenizers`.
        length: Number of tokens that the encoder reads.
        padding_id: Token that fills a short prompt up.
        mask: Whether the encoder also reads which tokens are the prompt's: 1, and 0 for filling.
        prefix: Text before every prompt, such as the beginning of a chat's template.
        suffix: Text behind every prompt; a long prompt loses it.
        lead: Text before that, which a negative prompt does not have.
        led: Tokens that a prompt may have more than a negative one, because of its lead. If there
            are any, the encoder is told how many each text has, as ``NAME_led``.
        lower: Whether texts are stripped and brought to small letters.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)
    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)
    length: int = Field(ge=1, le=MAX_TOKENS)
    padding_id: int = Field(ge=0)
    mask: bool = False
    prefix: str = ""
    suffix: str = ""
    lead: str = ""
    led: int = Field(0, ge=0, le=MAX_TOKENS)
    lower: bool = False

    @property
    def tensors(self) -> dict[str, RowSpec]:
        """``NAME_ids`` (length,) int64; if need be ``NAME_mask`` (length,) and ``NAME_led`` ()."""
        names = (f"{self.name}_ids", *([f"{self.name}_mask"] if self.mask else []))
        rows = {name: RowSpec("int64", (self.length,)) for name in names}
        return {**rows, f"{self.name}_led": RowSpec("int64")} if self.led else rows

    def around(self, negative: bool) -> tuple[str, str, int]:
        """Give what is before and behind a text, and how many tokens all that may have."""
        before = self.prefix if negative else self.lead + self.prefix
        return before, self.suffix, self.length - (self.led if negative else 0)


@dataclass(frozen=True)
class Tokens:
    """One text for one encoder.

    Attributes:
        ids: The encoder's ids, padding included.
        count: How many of them are the text's.
        cut: The part of the text that did not fit; empty if all did.
    """

    ids: list[int]
    count: int
    cut: str

    @property
    def mask(self) -> list[int]:
        """1 for the text's tokens, and 0 for padding."""
        return [1] * self.count + [0] * (len(self.ids) - self.count)


@dataclass(eq=False)
class Tokenizers:
    """The tokenizers of a folder, read when they are first asked for.

    All are equal: what they do is in files whose hashes a manifest has.

    Attributes:
        files: The folder in which they lie, or their contents by name; None before an engine is
            known.
        encode: Gives the tokens of a text for an encoder.
    """

    files: Path | Mapping[str, str] | None = None
    _read: dict[tuple[str, bool], Tokenizer] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        # A request for several images of a prompt reads it once.
        self.encode = lru_cache(RECENT)(self._encode)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process reads the files again.
        return Tokenizers, (self.files,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizers)

    def __hash__(self) -> int:
        return hash(Tokenizers)

    def _encode(self, spec: TextTokens, text: str, negative: bool = False) -> Tokens:
        """Tokenise a prompt or a negative one for an encoder, cut and filled up to its length."""
        text = text.lower().strip() if spec.lower else text
        before, behind, _ = spec.around(negative)
        encoding = self.find(spec, negative).encode(before + text + behind)
        ids = list(encoding.ids)
        cut = _cut(len(before), text, encoding)
        return Tokens(ids + [spec.padding_id] * (spec.length - len(ids)), len(ids), cut)

    def find(self, spec: TextTokens, negative: bool = False) -> Tokenizer:
        """Read the tokenizer of an encoder for prompts or for negative ones, unless it is known.

        Raises:
            EngineError: The file is missing or damaged, or leaves no room for a prompt.
            MissingExtraError: The library is not installed.
        """
        key = spec.name, negative and spec.led > 0
        if key not in self._read:
            if self.files is None:
                raise EngineError(f"{spec.file}: open the engine's folder, where the file lies")
            self._read[key] = _read_tokenizer(self.files, spec, negative)
        return self._read[key]


def _read_tokenizer(files: Path | Mapping[str, str], spec: TextTokens, negative: bool) -> Tokenizer:
    with needs_extra("text", "tokenizers"):
        from tokenizers import Tokenizer
    path = files / spec.file if isinstance(files, Path) else spec.file
    try:
        if isinstance(files, Path):
            tokenizer = Tokenizer.from_file(str(path))
        else:
            tokenizer = Tokenizer.from_str(files[spec.file])
    except Exception as error:  # the library raises nothing more exact
        raise EngineError(f"{path}: not a tokenizer ({' '.join(str(error).split())})") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    before, _, length = spec.around(negative)
    around = len(tokenizer.encode(before).ids)
    if around >= length:
        raise EngineError(
            f"{path}: adds {around} tokens to a prompt, but its encoder reads only {length}"
        )
    tokenizer.enable_truncation(length)
    return tokenizer


def _cut(before: int, text: str, encoding: Any) -> str:
    """Find the part of a text, behind so many other characters, whose tokens did not fit."""
    if not encoding.overflowing:
        return ""
    after = encoding.overflowing[0]
    spans = zip(after.offsets, after.special_tokens_mask, strict=True)
    begin = next((span[0] for span, special in spans if not special), before + len(text))
    return text[max(0, begin - before) :]
