"""SiT and DiT of prompts: the text's vectors are tokens in front of the patches."""

from __future__ import annotations

from torch import Tensor, nn

from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.models.layers import init_weights


class TextDiT(DiT):
    """A diffusion transformer with text vectors in the place of a class.

    Patches and text attend to each other in the same blocks, as in U-ViT (arXiv 2209.12152). The
    text as a whole also joins the time: its last vector, since a causal encoder's has seen all.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        assert config.context is not None
        self.context_embed = nn.Linear(config.context, config.width)
        init_weights(self.context_embed)

    def make_embedding(self, config: DiTConfig) -> nn.Module:
        """Make the map of the text's last vector."""
        assert config.context is not None
        return nn.Linear(config.context, config.width)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Predict noise (DiT) or velocity (SiT).

        Args:
            x: (R, c, H, W) latents.
            t: (R,) times in [0, 1].
            context: (R, L, D) the text's vectors.

        Returns:
            Prediction (R, c, H, W) and the policy's features (R, N, C), both float32.
        """
        return self.predict(x, t, self.y_embedder(context[:, -1]), self.context_embed(context))


def make_dit(config: DiTConfig) -> DiT:
    """Make the network of a configuration, for classes or for texts."""
    return DiT(config) if config.context is None else TextDiT(config)
