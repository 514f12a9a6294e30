"""Whether a picture shows what a text says: two small networks over frozen features and words."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.efficientnet import FEATURES

#: Entries of the vocabulary, tokens of a text, and the token that fills it up.
WORDS, LENGTH, PADDING = 2048, 24, 0
WIDTH, INNER = 128, 256
DROPOUT = 0.3


class Agreement(nn.Module):
    """Vectors of pictures and of texts, whose product is large where they agree.

    The picture's are features of EfficientNet-Lite0; of a text only the words count, not their
    order. Trained as CLIP is (arXiv 2103.00020).
    """

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.LayerNorm(FEATURES),
            nn.Dropout(DROPOUT),
            nn.Linear(FEATURES, INNER),
            nn.GELU(),
            nn.Linear(INNER, WIDTH),
        )
        self.words = nn.Embedding(WORDS, WIDTH, padding_idx=PADDING)
        self.text = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def see(self, features: Tensor) -> Tensor:
        """Map features (N, 1280) to vectors (N, 128) of length one."""
        return F.normalize(self.image(features).float(), dim=-1)

    def read(self, ids: Tensor) -> Tensor:
        """Map token ids (N, 24) to vectors (N, 128) of length one."""
        count = (ids != PADDING).sum(dim=1, keepdim=True).clamp(min=1)
        mean = self.words(ids).sum(dim=1) / count
        return F.normalize(self.text(mean).float(), dim=-1)

    def forward(self, features: Tensor, ids: Tensor) -> Tensor:
        """Compare every picture with every text: logits (N, M)."""
        return self.log_scale.exp() * self.see(features) @ self.read(ids).T
