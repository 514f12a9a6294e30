"""Text agreement: how often a picture's own caption is the best of a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from adagen_rt.condition.text import TextTokens, Tokenizers
from adagen_rt.models.agreement import LENGTH, PADDING, Agreement
from adagen_rt.models.classifier import load_network

#: The files of a trained judge of agreement.
WEIGHTS, TOKENIZER = "agreement.safetensors", "tokenizer.json"
#: Captions that a picture's own one has to be found among, itself included.
CANDIDATES = 100


def read_texts(folder: Path, texts: Sequence[str]) -> torch.Tensor:
    """Tokenise texts with a folder's `TOKENIZER`: (N, length) int64.

    Raises:
        EngineError: The tokenizer is missing or damaged.
    """
    spec = TextTokens(name="text", file=TOKENIZER, length=LENGTH, padding_id=PADDING)
    tokenizers = Tokenizers(folder)
    return torch.tensor([tokenizers.encode(spec, text).ids for text in texts])


class AgreementJudge:
    """Finds captions of pictures.

    Args:
        network: The trained networks.
        folder: A folder with `TOKENIZER`.
    """

    def __init__(self, network: Agreement, folder: Path) -> None:
        self.network = network.eval().requires_grad_(False)
        self._folder = folder

    def accuracy(
        self, features: npt.ArrayLike, captions: Sequence[str], pool: Sequence[str], seed: int = 0
    ) -> float:
        """Measure how often a picture is nearest to its own caption.

        Args:
            features: Features (N, 1280) of the pictures, of EfficientNet-Lite0.
            captions: Their own captions.
            pool: Captions of which 99 others are drawn for each picture.
            seed: Seed of the draws.

        Returns:
            A share from 0 to 1; guessing gives a hundredth.
        """
        known = list(dict.fromkeys([*captions, *pool]))
        place = {text: number for number, text in enumerate(known)}
        own = np.array([place[text] for text in captions])
        seen, read = self._vectors(features, known)
        scores = seen @ read.T
        rng, hits = np.random.default_rng(seed), 0
        for row, mine in zip(scores, own, strict=True):
            others = np.delete(np.arange(len(known)), mine)
            drawn = rng.choice(others, min(CANDIDATES - 1, len(others)), replace=False)
            hits += bool(row[mine] > row[drawn].max(initial=-np.inf))
        return hits / len(own)

    def agree(self, features: npt.ArrayLike, captions: Sequence[str]) -> npt.NDArray[np.float32]:
        """Tell how far pictures agree with their own captions: cosines (N,).

        Args:
            features: Features (N, 1280) of the pictures, of EfficientNet-Lite0.
            captions: Their own captions.
        """
        seen, read = self._vectors(features, captions)
        cosines: npt.NDArray[np.float32] = (seen * read).sum(axis=1)
        return cosines

    @torch.no_grad()
    def _vectors(
        self, features: npt.ArrayLike, captions: Sequence[str]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        seen = self.network.see(torch.as_tensor(np.asarray(features), dtype=torch.float32))
        return seen.numpy(), self.network.read(read_texts(self._folder, captions)).numpy()


def load_agreement(folder: Path) -> AgreementJudge:
    """Load what `adagen-rt train agreement` left in a folder.

    Raises:
        CheckpointError: The weights are missing or of another network.
        EngineError: The tokenizer is missing or damaged.
    """
    judge = AgreementJudge(load_network(Agreement(), folder / WEIGHTS), folder)
    read_texts(folder, [""])
    return judge
