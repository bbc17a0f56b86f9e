"""The frozen networks that an Aes model sees pictures by: pictures of any size in, rows of features out.

Weights of others are read from safetensors only, and no code of a model's repository is run.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel
from transformers.utils.logging import disable_progress_bar

from components.models.aes_config import AesBackbone
from components.models.image_features import ImageFeatures, extract
from components.models.token_score import token_logits

Pictures = Sequence[UInt8[np.ndarray, "_ _ 3"]] | UInt8[np.ndarray, "n h w 3"]
Features = Callable[[Pictures], Float[np.ndarray, "n d"]]
BATCH = 32
_Model: Any = AutoModel
_Processor: Any = AutoImageProcessor


def load_backbone(backbone: AesBackbone, device: str = "cpu") -> Features:
    """The features of pictures by that network; ValueError in one line where there is no such network.

    `device` is where networks of others compute; `lite0` is fast enough on a CPU.
    """
    match backbone.kind:
        case "lite0":
            return partial(_lite0, ImageFeatures(backbone.px, "bf16"), backbone.px)
        case "transformers":
            return _of_transformers(backbone, device)
        case "timm":
            return _of_timm(backbone, device)
        case "token_score":
            logits = token_logits(str(backbone.name), backbone.revision, device)
            return lambda images_u8: logits(list(images_u8))


def _lite0(network: ImageFeatures, px: int, images_u8: Pictures) -> Float[np.ndarray, "n d"]:
    squares = (
        np.stack([squared(image_u8, px) for image_u8 in images_u8]) if len(images_u8) else np.empty((0, px, px, 3))
    )
    return extract(network, squares.astype(np.uint8, copy=False))


def squared(image_u8: UInt8[np.ndarray, "h w 3"], px: int) -> UInt8[np.ndarray, "{px} {px} 3"]:
    """The whole picture on a white square, averaged over areas to `px` by `px`: as training pictures are."""
    height, width = image_u8.shape[:2]
    side = max(height, width)
    ground = Image.new("RGB", (side, side), "white")
    ground.paste(Image.fromarray(image_u8), ((side - width) // 2, (side - height) // 2))
    return np.asarray(ground.resize((px, px), Image.Resampling.BOX))


def _of_transformers(backbone: AesBackbone, device: str) -> Features:
    disable_progress_bar()
    name, pinned = str(backbone.name), {"revision": backbone.revision, "trust_remote_code": False}
    try:
        processor = _Processor.from_pretrained(name, backend="pil", **pinned)
        model = _Model.from_pretrained(name, use_safetensors=True, dtype=torch.float32, **pinned).eval()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: no image network of transformers here ({_one_line(error)})") from error
    network = getattr(model, "vision_model", model).to(device)  # of a network for images and texts, the half that sees

    @torch.inference_mode()
    def seen(images_u8: Pictures) -> Float[np.ndarray, "n d"]:
        pictures = [Image.fromarray(image_u8) for image_u8 in images_u8]
        pixels = processor(images=pictures, return_tensors="pt")["pixel_values"].to(device)
        return _pooled(network(pixel_values=pixels)).cpu().numpy()

    return partial(_in_batches, seen)


def _pooled(told: Any) -> Float[Tensor, "n d"]:
    """One row for each picture: the network's own summary, else the mean over its tokens or places."""
    summary = getattr(told, "pooler_output", None)
    if summary is None:
        states = told.last_hidden_state
        summary = states.mean(dim=(2, 3)) if states.ndim == 4 else states.mean(dim=1)
    return summary.flatten(1).float()


def _of_timm(backbone: AesBackbone, device: str) -> Features:
    try:
        timm: Any = import_module("timm")
    except ImportError as error:
        raise ValueError(
            f"backbone timm needs the package timm, which is not here ({error}); pip install 'easel[timm]'"
        ) from error
    name = str(backbone.name)
    source = f"local-dir:{name}" if Path(name).is_dir() else name
    try:
        model = timm.create_model(source, pretrained=True, num_classes=0).eval().to(device)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: no image network of timm here ({_one_line(error)})") from error
    brought = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)

    @torch.inference_mode()
    def seen(images_u8: Pictures) -> Float[np.ndarray, "n d"]:
        pixels = torch.stack([brought(Image.fromarray(image_u8)) for image_u8 in images_u8]).to(device)
        return model(pixels).float().cpu().numpy()

    return partial(_in_batches, seen)


def _in_batches(seen: Features, images_u8: Pictures) -> Float[np.ndarray, "n d"]:
    """`seen` of a few pictures at a time; at least one picture."""
    return np.concatenate([seen(images_u8[start : start + BATCH]) for start in range(0, len(images_u8), BATCH)])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
