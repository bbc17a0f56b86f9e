"""Saved adapters: the same bytes each time, and what diffusers and PEFT read of them."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import ErnieImageTransformer2DModel
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

from components.models.config import DiTConfig, LoraShape
from components.models.lora import add_lora, merge_lora
from components.models.transformer import build_transformer

CONFIG = DiTConfig(24, 2, 2, 48, (4, 4, 4), 256)
LORA = LoraShape(rank=4, alpha=8, layers=("to_v", "up_proj", "to_q", "to_out.0"))
FILE = "pytorch_lora_weights.safetensors"


def adapted() -> ErnieImageTransformer2DModel:
    torch.manual_seed(0)
    network = build_transformer(CONFIG, 8, 10)
    add_lora(network, LORA)
    return network


def test_the_same_adapters_are_the_same_bytes(tmp_path: Path) -> None:
    for number in range(12):
        merge_lora(adapted(), tmp_path / str(number))
    first, *others = [(tmp_path / str(number) / FILE).read_bytes() for number in range(12)]
    assert all(other == first for other in others)


def test_only_the_order_of_what_is_said_differs_from_what_diffusers_writes(tmp_path: Path) -> None:
    network = adapted()
    network.save_lora_adapter(tmp_path / "theirs")
    expected = {name: value.clone() for name, value in get_peft_model_state_dict(network).items()}
    merge_lora(network, tmp_path / "ours")
    found = load_file(tmp_path / "ours" / FILE)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    said = []
    for name in ("ours", "theirs"):
        with safe_open(tmp_path / name / FILE, "pt") as file:
            said.append(file.metadata())
    ours, theirs = (json.loads(one.pop(LORA_ADAPTER_METADATA_KEY)) for one in said)
    assert said == [{"format": "pt"}] * 2
    assert ours["target_modules"] == sorted(LORA.layers)
    assert ours | {"target_modules": set(LORA.layers)} == theirs | {"target_modules": set(theirs["target_modules"])}


def test_diffusers_loads_them(tmp_path: Path) -> None:
    network = adapted()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    expected = {name: value.clone() for name, value in get_peft_model_state_dict(network).items()}
    merge_lora(network, tmp_path)
    torch.manual_seed(0)
    other = build_transformer(CONFIG, 8, 10)
    load: Callable[..., None] = other.load_lora_adapter  # typed as if the prefix could not be None
    load(tmp_path / FILE, prefix=None, adapter_name="default")
    assert all(torch.equal(get_peft_model_state_dict(other)[name], expected[name]) for name in expected)
