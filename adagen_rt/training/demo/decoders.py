"""Training of a tokenizer's decoder alone, for codes that stay what they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adagen_rt.extent import Extent
from adagen_rt.training.demo.tokenizers import ImageTask

#: The parts of an autoencoder that only its decoding reads.
DECODING = frozenset({"decoder", "post_quant_conv"})


class DecoderTask(ImageTask):
    """Reconstruction from codes that the autoencoder's own encoder made.

    A generator of these codes stays right, whatever the decoder learns.

    Args:
        network: The autoencoder.
        codes: (N, ...) what it made of the images.
        images: The images, black, white and feature maps, as for `ImageTask`.
    """

    network: Any

    def __init__(self, network: Any, codes: Tensor, *images: Any) -> None:
        super().__init__(network, *images)
        self.codes = codes
        self.map = Extent(*self.pixels.shape[2:]).over(network.config.reduction)
        for name, part in network.named_children():
            part.requires_grad_(name in DECODING)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the reconstruction error."""
        decoded = self.network.decode_codes(self.codes[rows], self.map)
        return self.error(decoded.float(), self.images(rows))

    def reconstruct(self, network: Any, images: Tensor) -> Tensor:
        """Encode and decode."""
        decoded: Tensor = network.decode_codes(network.encode(images), self.map)
        return decoded
