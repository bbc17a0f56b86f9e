"""Trains the autoencoder that is pinned in data/autoencoder: what `easel data autoencoder` calls.

Not a stage: the recipe reuses a finished autoencoder, and training this one again would make every latent stale. Its
settings lie in infra/autoencoder.yaml and the record of its training beside its weights.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from components.data.config import DecodeLimits
from components.models.config import AutoencoderConfig
from components.training.config import AutoencoderTraining

SETTINGS = Path("infra/autoencoder.yaml")
REPORT_EVERY_STEPS = 100


class Settings(BaseModel, frozen=True, extra="forbid"):
    """What decides the weights: shape, training, side of the images' squares, share of concepts held out."""

    model: AutoencoderConfig
    training: AutoencoderTraining
    side_px: int
    heldout_frac: float
    limits: DecodeLimits


def is_held_out(concept: str, heldout_frac: float) -> bool:
    """Whether all images of `concept` stay out of training; decided by its hash alone, so that styles stay together."""
    return int(hashlib.sha256(concept.encode()).hexdigest()[:8], 16) / 16**8 < heldout_frac


def train_pinned(root: Path, target: Path) -> dict[str, Any]:
    """Train on the raw images with the committed settings; write the model and its record to `target`.

    Raises:
        FileExistsError: `target` exists.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; name a new folder, then move it to data/autoencoder")
    import numpy as np
    import pyarrow.parquet as pq
    from diffusers import AutoencoderKLFlux2

    from components.data.decode import decode_square
    from components.training.autoencoder import AutoencoderStep, reconstruction_psnr_db, train

    plain = yaml.safe_load((root / SETTINGS).read_text(encoding="utf-8"))
    settings = Settings.model_validate(plain)
    rows = pq.read_table(root / "data" / "images", columns=["image", "concept", "source_id"]).to_pylist()
    pixels_u8 = np.stack([decode_square(row["image"], settings.side_px, settings.limits) for row in rows])
    held_out = np.array([is_held_out(row["concept"] or row["source_id"], settings.heldout_frac) for row in rows])
    curve: list[dict[str, float]] = []
    started = time.monotonic()

    def report(done: AutoencoderStep, _model: AutoencoderKLFlux2) -> None:
        if done.step % REPORT_EVERY_STEPS == 0:
            curve.append({"step": done.step, "images_seen": done.images_seen, **done.terms})

    autoencoder = train(settings.model, settings.training, pixels_u8[~held_out], report)
    sides = sorted({resolution.side_px for resolution in settings.training.resolutions})
    record = {
        "settings": plain,
        "images": int((~held_out).sum()),
        "heldout_images": int(held_out.sum()),
        "seconds": round(time.monotonic() - started),
        "heldout_psnr_db": {str(s): reconstruction_psnr_db(autoencoder, pixels_u8[held_out], s) for s in sides},
        "curve": curve,
    }
    autoencoder.save_pretrained(target, safe_serialization=True)
    (target / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record
