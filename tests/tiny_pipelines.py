"""Pipelines of diffusers with a few thousand random weights, and what they generate."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import diffusers
import numpy as np
import torch
import transformers

ALPHABET = "abcdefghijklmnopqrstuvwxyz,."
#: Side of the latents.
SIDE = 8
VAE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "sample_size": 16,
}


def save_pipeline(name, folder, scheduler=None):
    """Save a pipeline of a class, with another scheduler if one is given."""
    torch.manual_seed(0)
    pipeline = MAKERS[name]()
    if scheduler is not None:
        pipeline.register_modules(scheduler=scheduler)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            excite(part)
    pipeline.save_pretrained(folder, safe_serialization=True)
    if name == "dit":
        labels = {"0": "tench, Tinca tinca", "1": "crane", "2": "crane, crane bird"}
        change(folder / "model_index.json", id2label=labels)
    return folder


def excite(network):
    """Make weights large enough for a prompt to matter."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=1.2 * parameter.shape[1] ** -0.5)


def dit():
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=SIDE,
        num_embeds_ada_norm=1000,
    )
    vae = diffusers.AutoencoderKL(**VAE, latent_channels=4)
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    return diffusers.DiTPipeline(transformer, vae, scheduler)


def sd3():
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIDE,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        pos_embed_max_size=8,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=diffusers.AutoencoderKL(**VAE, latent_channels=4, shift_factor=0.06),
        text_encoder=clip(transformers.CLIPTextModelWithProjection, 12),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection, 20),
        tokenizer_2=clip_tokenizer(pad_token="a"),
        text_encoder_3=t5(32),
        tokenizer_3=t5_tokenizer(),
    )


def flux():
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    return diffusers.FluxPipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=diffusers.AutoencoderKL(**VAE, latent_channels=4, shift_factor=0.1),
        text_encoder=clip(transformers.CLIPTextModel, 16),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5(32),
        tokenizer_2=t5_tokenizer(),
    )


def pixart():
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=16,
        sample_size=SIDE,
        caption_channels=32,
        use_additional_conditions=False,
    )
    return diffusers.PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(32),
        vae=diffusers.AutoencoderKL(**VAE, latent_channels=4),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def sana():
    transformer = diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        sample_size=SIDE,
    )
    vae = diffusers.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_out_channels=(8, 16),
        decoder_block_out_channels=(8, 16),
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41,
    )
    scheduler = diffusers.DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
    )
    return diffusers.SanaPipeline(gemma_tokenizer(), gemma(), vae, transformer, scheduler)


def gemma():
    return transformers.Gemma2Model(
        transformers.Gemma2Config(
            vocab_size=len(gemma_vocabulary()),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            query_pre_attn_scalar=8,
            sliding_window=64,
        )
    )


def gemma_vocabulary():
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "\u2581", "\n", *ALPHABET]
    return {piece: place for place, piece in enumerate(pieces)}


def gemma_tokenizer():
    return transformers.GemmaTokenizer(vocab=gemma_vocabulary(), merges=[])


def clip(kind, width):
    vocabulary = len(clip_vocabulary())
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=16,
            intermediate_size=16,
            projection_dim=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            eos_token_id=vocabulary - 1,
            bos_token_id=vocabulary - 2,
        )
    )


def clip_vocabulary():
    pieces = [*ALPHABET, *(f"{letter}</w>" for letter in ALPHABET)]
    return {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}


def clip_tokenizer(**options):
    return transformers.CLIPTokenizer(
        vocab=clip_vocabulary(), merges=[], model_max_length=77, **options
    )


def t5(width):
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(ALPHABET) + 4 + 10,
            d_model=width,
            d_kv=8,
            d_ff=16,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )


def t5_tokenizer():
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(letter, -3.0) for letter in ALPHABET]
    return transformers.T5Tokenizer(vocab=[*special, *letters], extra_ids=10, model_max_length=512)


MAKERS = {"dit": dit, "sd3": sd3, "flux": flux, "pixart": pixart, "sana": sana}


DRAWN = "diffusers.pipelines.dit.pipeline_dit.randn_tensor"


def pipeline_run(folder, noise, asked, steps, guidance):
    """Generate with a pipeline: its latents (B, C, H, W) at the end, and its images (bytes)."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.from_numpy(noise)
    options = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    seen, decode = [], pipeline.vae.decode

    def watched(latents, *args, **kwargs):
        seen.append(latents)
        return decode(latents, *args, **kwargs)

    if isinstance(pipeline, diffusers.DiTPipeline):
        options |= {"class_labels": asked}
    else:
        options |= {"prompt": asked, "latents": noise}
        options |= {"height": 2 * noise.shape[2], "width": 2 * noise.shape[3]}
    if isinstance(pipeline, diffusers.FluxPipeline):
        count, channels, height, width = noise.shape
        options["latents"] = pipeline._pack_latents(noise, count, channels, height, width)
    if isinstance(pipeline, diffusers.PixArtSigmaPipeline | diffusers.SanaPipeline):
        options |= {"use_resolution_binning": False, "clean_caption": False}
    drawn = mock.patch(DRAWN, return_value=noise)  # only DiT takes no latents
    checks = mock.patch.object(pipeline, "check_inputs", create=True)  # of sizes, Sana's are large
    with mock.patch.object(pipeline.vae, "decode", watched), drawn, checks:
        images = pipeline(**options).images
    config = pipeline.vae.config
    shift = getattr(config, "shift_factor", None) or 0
    latents = (seen[0] - shift) * config.scaling_factor
    return SimpleNamespace(
        latents=latents.numpy(), images=(np.asarray(images) * 255).round().astype(int)
    )


def change(path: Path, **changes):
    """Change entries of a file of a pipeline."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | changes))
