"""Experts read from folders: an adapter that goes onto a backbone, or a full checkpoint; checked before any training.

An adapter is only right on the base it was trained on. Its folder also holds the network with the adapter merged, so
that is known: weights without an adapter must be the backbone's, and the others the backbone's plus the product.
"""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import ErnieImageTransformer2DModel
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from components.models.initial import InitialWeightsError, check_shape, shard_files, transformer_directory
from components.models.lora import beside_others

LORA_FOLDER = "lora"
ROUNDING = 4e-6
"""By how much of the largest weight a merged weight may differ from base and product added up again."""


class ExpertError(ValueError):
    """An expert that does not fit the others; one line says which, where and what to do."""


def is_adapter(directory: Path) -> bool:
    """Whether a trained model's folder holds an adapter; otherwise it is a full checkpoint."""
    return (directory / LORA_FOLDER).is_dir()


def add_expert(backbone: ErnieImageTransformer2DModel, adapter: str, directory: Path) -> None:
    """Put the adapter saved in `directory` onto the backbone, under the name `adapter`.

    Raises:
        ExpertError: another architecture, another base, layers that the backbone lacks, or a file that is broken.
    """
    try:
        merged = transformer_directory(directory)
        check_shape(merged, backbone)
        file = directory / LORA_FOLDER / LORA_WEIGHT_NAME_SAFE
        _check_layers(file, backbone)
        _load(file, backbone, adapter)
        _check_base(merged, backbone, adapter)
    except InitialWeightsError as error:
        raise ExpertError(str(error)) from None


def bare_name(name: str) -> str:
    """A weight's name in a network without adapters."""
    return name.replace(".base_layer.", ".")


def _check_layers(file: Path, backbone: ErnieImageTransformer2DModel) -> None:
    """Every product of the file has a linear layer of its size to stand beside."""
    linear = {
        bare_name(f"{name}.")[:-1]: layer for name, layer in backbone.named_modules() if isinstance(layer, nn.Linear)
    }
    try:
        with safe_open(file, framework="pt") as adapter:
            shapes = {name: tuple(adapter.get_slice(name).get_shape()) for name in adapter.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ExpertError(f"{file}: not a whole safetensors file ({error}); copy it again") from None
    if not shapes:
        raise ExpertError(f"{file}: holds no weights; train the expert again")
    for name, shape in shapes.items():
        found = re.fullmatch(r"(.+)\.lora_([AB])\.weight", name)
        if found is None:
            raise ExpertError(f"{file}: holds {name!r}, which is no weight of a low-rank adapter")
        layer = linear.get(found[1])
        if layer is None:
            raise ExpertError(f"{file}: adapts the layer {found[1]!r}, which the backbone does not have")
        width, there = (layer.in_features, shape[-1]) if found[2] == "A" else (layer.out_features, shape[0])
        if width != there:
            raise ExpertError(f"{file}: {name} has the width {there}, not {width} as the backbone's layer")


def _load(file: Path, backbone: ErnieImageTransformer2DModel, adapter: str) -> None:
    """Rank and scale come from what diffusers wrote into the file's header."""
    load: Any = backbone.load_lora_adapter  # its annotations do not know that there may be no prefix
    try:
        with beside_others():
            load(file.parent, prefix=None, adapter_name=adapter, use_safetensors=True)
    except (TypeError, ValueError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise ExpertError(f"{file}: no adapter as diffusers saves it ({told[0]:.90}); train it again") from None


@torch.no_grad()
def _check_base(merged: Path, backbone: ErnieImageTransformer2DModel, adapter: str) -> None:
    """Every merged weight is the backbone's, plus the adapter's product where there is one."""
    waiting = {bare_name(name): weight for name, weight in backbone.named_parameters() if ".lora_" not in name}
    layers: dict[str, Any] = {
        f"{name}.weight": layer
        for name, layer in backbone.named_modules()
        if isinstance(layer, LoraLayer) and adapter in layer.lora_A
    }
    for file in shard_files(merged):
        with safe_open(file, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - the file is no mapping
                base = waiting.pop(name, None)
                layer = layers.get(name)
                product = None if layer is None else layer.get_delta_weight(adapter)
                if base is None or not _is_sum(shard.get_tensor(name).to(base.dtype), base, product):
                    raise ExpertError(
                        f"{merged}: {name} is not the backbone's weight{'' if product is None else ' plus the product'}"
                        ": its adapter was trained on another base; name the model that it was started from"
                    )
    if waiting:
        raise ExpertError(f"{merged}: {len(waiting)} weights are missing, such as {min(waiting)}")


def _is_sum(found: Tensor, base: Tensor, product: Tensor | None) -> bool:
    """DeepSpeed trains an adapter beside the base in bf16, which is then what was saved."""
    starts = (base, base.bfloat16().to(base.dtype))
    if product is None:
        return any(torch.equal(found, start) for start in starts)
    if found.shape != base.shape:
        return False
    allowed = ROUNDING * float(base.abs().max() + product.abs().max())
    return any(float((found - product - start).abs().max()) <= allowed for start in starts)
