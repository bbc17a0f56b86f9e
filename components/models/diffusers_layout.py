"""The export as stock diffusers reads it: `ErnieImagePipeline.from_pretrained(directory)` needs no code of ours.

The text encoder is a BertModel in the place of the released Ministral: the pipeline only asks it for
`hidden_states[-2]`, and its tokenizer adds [CLS] and [SEP], so the empty prompt has two tokens and no BOS is needed.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
)
from transformers import AutoModel, AutoTokenizer


def build_scheduler(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps along sigma = shift u / (1 + (shift - 1) u); the shift does not depend on the image's size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift, use_dynamic_shifting=False)


def write_pipeline(
    out: Path, *, transformer_dir: Path, autoencoder_dir: Path, text_encoder_dir: Path, shift: float
) -> ErnieImagePipeline:
    """Save the four networks' parts in `out` as one pipeline, safetensors only, and return it in float32."""
    parts = {"use_safetensors": True, "torch_dtype": torch.float32}
    pipeline = ErnieImagePipeline(
        transformer=ErnieImageTransformer2DModel.from_pretrained(transformer_dir, **parts),
        vae=AutoencoderKLFlux2.from_pretrained(autoencoder_dir, **parts),
        text_encoder=AutoModel.from_pretrained(
            text_encoder_dir, use_safetensors=True, dtype=torch.float32, local_files_only=True
        ),
        tokenizer=AutoTokenizer.from_pretrained(text_encoder_dir, local_files_only=True),
        scheduler=build_scheduler(shift),
        # No prompt enhancer: with both parts empty the pipeline's `use_pe=True` default does nothing.
        pe=None,
        pe_tokenizer=None,
    )
    pipeline.save_pretrained(out, safe_serialization=True)
    return pipeline
