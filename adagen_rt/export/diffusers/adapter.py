"""What an adapter says of a pipeline of diffusers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from adagen_rt.condition import Guidance
from adagen_rt.export.diffusers.schedulers import Grid
from adagen_rt.extent import Extent


@dataclass(frozen=True)
class Text:
    """A text encoder's tokens.

    Attributes:
        name: Beginning of the names of its inputs.
        tokenizer: The tokenizer's folder.
        length: Number of tokens of every prompt; None for the tokenizer's own limit.
        mask: Whether the encoder reads which tokens are the prompt's.
        lower: Whether prompts are stripped and in small letters.
        lead: Text before a prompt, which a negative one does not have. `length` is then that of a
            negative prompt, and a prompt has as many more tokens as the lead, but for two.
        right: Whether the pipeline fills prompts up at their end, whatever the tokenizer says.
    """

    name: str
    tokenizer: str
    length: int | None = None
    mask: bool = False
    lower: bool = False
    lead: str = ""
    right: bool = False


class Adapter(ABC):
    """One class of pipelines: how its networks are called, and what it does between them.

    Attributes:
        pipeline: The class's name in diffusers.
        networks: Classes of its parts by the folder's name; other parts are not needed.
        optional: Parts that a folder may lack.
        schedulers: Schedulers that it was checked with.
        guidance: How the network is guided.
        steps: Default number of steps of the pipeline.
        scale: Default guidance scale of the pipeline.
        norm: Last norm of the transformer, whose input are the policy's features.
        texts: Text encoders' tokens.
        context: Arrays that `encode` makes, which `predict` reads.
        shifted: Whether the pipeline adds the autoencoder's shift to latents that it decodes.
        sizeable: Whether its graphs were checked with open sizes, and make images of many.
    """

    pipeline: ClassVar[str]
    networks: ClassVar[Mapping[str, str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    schedulers: ClassVar[tuple[str, ...]]
    guidance: ClassVar[Guidance] = "classifier-free"
    steps: ClassVar[int]
    scale: ClassVar[float]
    norm: ClassVar[str] = "norm_out"
    texts: ClassVar[tuple[Text, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()
    shifted: ClassVar[bool] = False
    sizeable: ClassVar[bool] = False

    def guided_by(self, config: Any) -> Guidance:
        """Say how the network of this configuration is guided."""
        return self.guidance

    def channels(self, config: Any) -> int:
        """Count the latent channels."""
        return int(config.in_channels)

    def factor(self, vae: Any) -> int:
        """Count the pixels along one side of a latent."""
        return int(2 ** (len(vae.block_out_channels) - 1))

    def sample(self, config: Any) -> int:
        """Give the usual side of the latents."""
        return int(config.sample_size)

    def patch(self, config: Any) -> int:
        """Count the latents along one side of a patch."""
        return int(config.patch_size or 1)

    def most(self, config: Any) -> int | None:
        """Give the largest side of the latents that there are positions for; None for any."""
        return None

    def grid(self, config: Any, latents: Extent) -> Grid:
        """Say what the pipeline tells its scheduler."""
        return Grid(latents.area // self.patch(config) ** 2)

    def faults(self, config: Any, latents: Extent) -> list[str]:
        """Tell what of the transformer's configuration cannot be exported."""
        step = self.patch(config)
        if any(side % step for side in latents):
            return [f"size: got {latents} latents, expected multiples of {step}"]
        return []

    @abstractmethod
    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """Call the transformer as the pipeline does.

        Args:
            transformer: The network.
            x: Latents (R, C, H, W).
            t: Times (R,): of a diffusion from 0 at data to 1 at noise, of a flow from noise to
                data.
            given: Arrays of the condition, and an embedded ``guidance`` (R,).

        Returns:
            The noise, or the velocity from noise to data, (R, C, H, W).
        """

    def encode(self, networks: Any, given: dict[str, Tensor], config: Any) -> tuple[Tensor, ...]:
        """Call the text encoders as the pipeline does.

        Args:
            networks: The parts by name; None for one that the folder lacks.
            given: Ids and masks (R, L) int64.
            config: The transformer's configuration.

        Returns:
            The arrays of `context`.
        """
        raise NotImplementedError
