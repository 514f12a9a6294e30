"""Folders of published diffusers pipelines: the values of their config.json, without weights.

Tokenizers are stand-ins of some letters: only their lengths and padding matter to an export.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

Config = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz,."
INDEX = "model_index.json"
T5: Config = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "vocab_size": 32128,
    "feed_forward_proj": "gated-gelu",
}
CLIP_L: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
CLIP_G: Config = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
VAE: Config = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 1024,
}
#: Autoencoders of 16 channels have no convolutions around their latents.
VAE_16: Config = {
    **VAE,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


@dataclass(frozen=True)
class Published:
    """A pipeline.

    Attributes:
        pipeline: Its class.
        transformer: Class and configuration.
        vae: The autoencoder's configuration.
        scheduler: Class and configuration.
        texts: Class and configuration of each text encoder.
    """

    pipeline: str
    transformer: tuple[str, Config]
    vae: Config
    scheduler: tuple[str, Config]
    texts: tuple[tuple[str, Config], ...] = field(default=())


PUBLISHED = {
    "flux-1-dev": Published(
        "FluxPipeline",
        ("FluxTransformer2DModel", {"guidance_embeds": True}),
        {**VAE_16, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0, "use_dynamic_shifting": True}),
        (("CLIPTextModel", CLIP_L), ("T5EncoderModel", T5)),
    ),
    "sd3-medium": Published(
        "StableDiffusion3Pipeline",
        (
            "SD3Transformer2DModel",
            {
                "num_layers": 24,
                "num_attention_heads": 24,
                "caption_projection_dim": 1536,
                "pos_embed_max_size": 192,
            },
        ),
        {**VAE_16, "scaling_factor": 1.5305, "shift_factor": 0.0609},
        ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
        (
            ("CLIPTextModelWithProjection", CLIP_L),
            ("CLIPTextModelWithProjection", CLIP_G),
            ("T5EncoderModel", T5),
        ),
    ),
    "pixart-sigma": Published(
        "PixArtSigmaPipeline",
        (
            "PixArtTransformer2DModel",
            {
                "num_layers": 28,
                "caption_channels": 4096,
                "cross_attention_dim": 1152,
                "sample_size": 128,
                "interpolation_scale": 2,
                "use_additional_conditions": False,
            },
        ),
        {**VAE, "latent_channels": 4, "scaling_factor": 0.13025},
        ("DPMSolverMultistepScheduler", {"beta_schedule": "linear"}),
        (("T5EncoderModel", T5),),
    ),
}


def write_folder(name: str, folder: Path, layers: int | None, text_layers: int | None) -> None:
    """Write a pipeline's folder; fewer layers are for a trial."""
    published = PUBLISHED[name]
    kind, config = published.transformer
    if layers is not None:
        config = {**config, "num_layers": layers}
        config |= {"num_single_layers": layers} if published.pipeline == "FluxPipeline" else {}
    index: Config = {"_class_name": published.pipeline}
    networks = {"transformer": (kind, config), "vae": ("AutoencoderKL", published.vae)}
    for part, (kind, config) in networks.items():
        with torch.device("meta"):
            getattr(diffusers, kind)(**config).save_config(folder / part)
        index[part] = ["diffusers", kind]
    kind, config = published.scheduler
    getattr(diffusers, kind)(**config).save_pretrained(folder / "scheduler")
    index["scheduler"] = ["diffusers", kind]
    for number, (kind, config) in enumerate(published.texts, 1):
        end = "" if number == 1 else f"_{number}"
        depth = "num_layers" if "num_layers" in config else "num_hidden_layers"
        fewer = {} if text_layers is None else {depth: text_layers}
        made = getattr(transformers, kind).config_class(**config | fewer)
        made.save_pretrained(folder / f"text_encoder{end}")
        tokenizer = _t5_tokenizer() if kind.startswith("T5") else _clip_tokenizer()
        tokenizer.save_pretrained(folder / f"tokenizer{end}")
        index[f"text_encoder{end}"] = ["transformers", kind]
        index[f"tokenizer{end}"] = ["transformers", type(tokenizer).__name__]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _clip_tokenizer() -> Any:
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _t5_tokenizer() -> Any:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(letter, -3.0) for letter in LETTERS]
    return transformers.T5Tokenizer(vocab=[*special, *letters], extra_ids=10, model_max_length=512)
