"""Prompts in training: a tokenizer made for the captions, and a text encoder trained along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import Prompts
from adagen_rt.errors import needs_extra
from adagen_rt.evaluation.folder import Tensors
from adagen_rt.files import replace_file

#: Fills short prompts up, and ends every prompt.
PADDING, END = "<pad>", "<end>"


class Prompted(nn.Module):
    """A text encoder and the generator that it tells, trained as one network.

    Args:
        text: The encoder.
        backbone: The generator, whose last argument is the text's vectors.
    """

    text: nn.Module
    backbone: nn.Module

    def __init__(self, text: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.text, self.backbone = text, backbone

    @property
    def config(self) -> Any:
        """Sizes of the generator."""
        return self.backbone.config

    def forward(self, *inputs: Tensor, **ids: Tensor) -> Any:
        """Encode the prompts' ids and generate; the ids are the encoder's inputs in order."""
        return self.backbone(*inputs, self.text(*ids.values()))


def learn_words(captions: Sequence[str], words: int, path: Path) -> None:
    """Learn byte pairs of captions and write them as a `tokenizer.json`.

    Case does not count. Token 0 fills up, and token 1 ends every text, also an empty one.

    Args:
        captions: The captions.
        words: Largest number of tokens.
        path: Where to write it.

    Raises:
        MissingExtraError: The library is not installed.
    """
    with needs_extra("text", "tokenizers"):
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
        from tokenizers.processors import TemplateProcessing
        from tokenizers.trainers import BpeTrainer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=words,
        special_tokens=[PADDING, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    replace_file(path, lambda temporary: tokenizer.save(str(temporary)))


def read_prompts(condition: Prompts, captions: Sequence[str]) -> Tensors:
    """Tokenise captions for training: the encoder's inputs (N, L), and those of the null prompt."""
    rows = condition.inputs(condition.parse(captions))
    return {name: torch.from_numpy(values) for name, values in rows.items()}
