"""Class labels or prompts of a pipeline, and the tokenizers' files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from adagen_rt.condition import ClassLabels, ConditionSpec, Prompts, TextTokens
from adagen_rt.condition.text import MAX_TOKENS
from adagen_rt.errors import RecipeError, shown
from adagen_rt.export.diffusers.adapter import Text
from adagen_rt.export.diffusers.folder import PipelineFolder, one_line

#: The file of a whole tokenizer.
WHOLE = "tokenizer.json"


def describe_condition(source: PipelineFolder) -> ConditionSpec:
    """Describe what a pipeline is asked for.

    Raises:
        RecipeError: A tokenizer cannot be read.
    """
    guidance = source.adapter.guided_by(source.config)
    if not source.adapter.texts:
        return _labels(source)
    encoders: list[TextTokens] = []
    usual = None
    for text in _texts(source):
        tokenizer = _tokenizer(source.path / text.tokenizer, text)
        _check_words(source, text, tokenizer)
        # Pipelines take the first one's for every text encoder without a length of its own.
        usual = usual or tokenizer.model_max_length
        # As the pipelines count it, whatever the two are that they leave out.
        led = len(tokenizer.encode(text.lead)) - 2 if text.lead else 0
        encoders.append(
            TextTokens(
                name=text.name,
                file=f"{text.tokenizer}.json",
                length=(text.length or usual) + led,
                padding_id=tokenizer.pad_token_id,
                mask=text.mask,
                lead=text.lead,
                led=led,
                lower=text.lower,
            )
        )
    return Prompts(guidance=guidance, encoders=tuple(encoders))


def write_tokenizers(source: PipelineFolder, folder: Path) -> None:
    """Write the tokenizers that the condition names."""
    for text in _texts(source):
        tokenizer = _tokenizer(source.path / text.tokenizer, text)
        tokenizer.backend_tokenizer.save(str(folder / f"{text.tokenizer}.json"))


def _texts(source: PipelineFolder) -> Iterator[Text]:
    """List the tokens of the text encoders that are there."""
    for text in source.adapter.texts:
        if source.has(_encoder(text)):
            yield text


def _tokenizer(folder: Path, text: Text) -> Any:
    if not folder.is_dir():
        raise RecipeError(f"{folder}: missing, expected a tokenizer")
    try:
        # Unless told not to, the library asks at the terminal whether it may run a folder's code.
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the library raises nothing more exact
        if "trust_remote_code" in str(error):
            told = "got a tokenizer of its own code, which is never run"
            raise RecipeError(f"{folder}: {told}, expected one of transformers") from None
        raise RecipeError(f"{folder}: not a tokenizer ({one_line(error)})") from None
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise RecipeError(f"{folder}: got {type(tokenizer).__name__}, expected a fast tokenizer")
    _check_vocabulary(folder, tokenizer)
    sides = {"truncation_side": tokenizer.truncation_side}
    if not text.right:
        sides["padding_side"] = tokenizer.padding_side
    if faults := [
        f"{name}: got {side!r}, expected 'right'" for name, side in sides.items() if side != "right"
    ]:
        raise RecipeError(f"{folder}: {'; '.join(faults)}")
    return tokenizer


def _check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer without words, which the library makes where files are missing."""
    files = dict(tokenizer.vocab_files_names)
    whole = files.pop("tokenizer_file", WHOLE)
    parts = all((folder / name).is_file() for name in files.values()) if files else False
    if not parts and not (folder / whole).is_file():
        expected = " or ".join([whole, *([" and ".join(files.values())] if files else [])])
        raise RecipeError(f"{folder}: got no vocabulary, expected {expected}")


def _check_words(source: PipelineFolder, text: Text, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ids are not those of its encoder.

    Tokens that were added to a vocabulary may be beyond the encoder's, as Gemma's mask.
    """
    folder, part = source.path / text.tokenizer, _encoder(text)
    if tokenizer.pad_token_id is None:
        raise RecipeError(f"{folder}: pad_token: got none, expected one")
    words = source.configuration(part).vocab_size
    known = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    last = max(tokenizer.pad_token_id, *known.values())
    if last >= words:
        expected = f"ids below {words}, vocab_size of {part}"
        raise RecipeError(f"{folder}: got ids to {last}, expected {expected}")
    if text.length is None and not 1 <= tokenizer.model_max_length <= MAX_TOKENS:
        got, expected = shown(tokenizer.model_max_length), f"1 to {MAX_TOKENS}"
        raise RecipeError(f"{folder}: model_max_length: got {got}, expected {expected}")


def _encoder(text: Text) -> str:
    return text.tokenizer.replace("tokenizer", "text_encoder")


def _labels(source: PipelineFolder) -> ClassLabels:
    """Read the classes' names; of a class's names the first that no earlier class has."""
    count = int(source.config.num_embeds_ada_norm)
    given = source.index.get("id2label") or {}
    names: dict[str, None] = {}
    for label in range(count):
        words = [word.strip() for word in str(given.get(str(label), "")).split(",")]
        free = [word for word in words if word and word not in names]
        names[free[0] if free else f"{words[0]} {label}".strip()] = None
    return ClassLabels(count=count, names=tuple(names) if given else ())
