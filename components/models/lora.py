"""Low-rank adapters on the transformer, by PEFT: the base stays as it is, and a small product is trained beside it.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

import json
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from diffusers import ErnieImageTransformer2DModel
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY, LORA_WEIGHT_NAME_SAFE
from peft import LoraConfig

from components.models.config import LoraShape

ADAPTER = "default"


def add_lora(network: ErnieImageTransformer2DModel, shape: LoraShape, name: str = ADAPTER) -> None:
    """Freeze the network and add adapters that change nothing yet; draws from torch's global generator.

    ValueError if no layer has one of the names.
    """
    network.requires_grad_(False)
    config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=list(shape.layers), lora_dropout=0.0)
    with beside_others():
        network.add_adapter(config, name)


@contextmanager
def beside_others() -> Generator[None]:
    """Without PEFT's question whether a network is meant to have several adapters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`", category=UserWarning)
        yield


def merge_lora(network: ErnieImageTransformer2DModel, adapter_dir: Path | None = None) -> None:
    """Add the adapters' products to the base and drop them; first saved in `adapter_dir` as diffusers loads them."""
    if adapter_dir is not None:
        network.save_lora_adapter(adapter_dir, adapter_name=ADAPTER, safe_serialization=True)
        _sort_metadata(adapter_dir / LORA_WEIGHT_NAME_SAFE)
    network.fuse_lora()
    network.unload_lora()


def _sort_metadata(file: Path) -> None:
    """Put what the file says of its adapters into one order, so that the same adapters are the same bytes.

    safetensors writes metadata in the order of a hash map, PEFT the layers in that of a set. Only the header changes:
    its length (8 bytes, little-endian), JSON padded with blanks; tensors' places count from its end.
    """
    data = file.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    about = json.loads(header["__metadata__"][LORA_ADAPTER_METADATA_KEY])
    about["target_modules"].sort()
    said = {"format": "pt", LORA_ADAPTER_METADATA_KEY: json.dumps(about, indent=2, sort_keys=True)}
    text = json.dumps({**header, "__metadata__": said}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
