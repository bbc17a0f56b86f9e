"""The export as stock diffusers reads it: `ErnieImagePipeline.from_pretrained(directory)` needs no code of ours.

The text encoder is a BertModel in the place of the released Ministral: the pipeline only asks it for
`hidden_states[-2]`, and its tokenizer adds [CLS] and [SEP], so the empty prompt has two tokens and no BOS is needed.
"""

from pathlib import Path
from typing import Any

from diffusers import ErnieImagePipeline, FlowMatchEulerDiscreteScheduler

from components.models.autoencoder import load_autoencoder
from components.models.text_encoder import load_text_model
from components.models.transformer import load_transformer


def build_scheduler(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps along sigma = shift u / (1 + (shift - 1) u); the shift does not depend on the image's size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift, use_dynamic_shifting=False)


def write_pipeline(out: Path, *, transformer_dir: Path, autoencoder_dir: Path, shift: float) -> ErnieImagePipeline:
    """Save transformer, autoencoder, the frozen text encoder and scheduler in `out` as one pipeline, and return it.

    Weights are float32 and safetensors only.
    """
    tokenizer, text_encoder = load_text_model()
    # The annotations of diffusers name the released model's classes; the pipeline itself asks less of them.
    text_parts: dict[str, Any] = {"text_encoder": text_encoder, "tokenizer": tokenizer}
    pipeline = ErnieImagePipeline(
        transformer=load_transformer(transformer_dir),
        vae=load_autoencoder(autoencoder_dir),
        **text_parts,
        scheduler=build_scheduler(shift),
        # No prompt enhancer: with both parts empty the pipeline's `use_pe=True` default does nothing.
        pe=None,
        pe_tokenizer=None,
    )
    pipeline.save_pretrained(out, safe_serialization=True)
    return pipeline
