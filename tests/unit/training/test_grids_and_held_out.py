"""Sample grids and held-out losses: fixed problems, so that two looks compare."""

import numpy as np
import pytest
import torch
from PIL import ImageFont

from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.objectives.flow_matching import velocity_error
from components.training.batches import condition_of
from components.training.config import GridConfig, HeldOutConfig
from components.training.grids import CAPTION_PX, CELL_PX, draw_grid, draw_samples, to_bytes, wrap
from components.training.held_out import fix_problems, held_out_losses

HELD_OUT = HeldOutConfig(every_images=1, rows_per_split=4, seed=3)


def test_problems_are_the_same_at_every_look(store):
    one, two = fix_problems(store, HELD_OUT, "short"), fix_problems(store, HELD_OUT, "short")
    assert [problem.name for problem in one] == ["heldout_cell", "heldout_concept", "train"]
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.eps, b.eps)
        assert torch.equal(a.t, b.t)
    # The times are spread evenly over (0, 1), in another order.
    assert sorted(one[2].t.tolist()) == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_a_split_s_loss_is_the_mean_error_of_its_rows(store, denoiser):
    problems = fix_problems(store, HELD_OUT, "short")
    losses = held_out_losses(denoiser, problems)
    cell = problems[0]
    by_hand = velocity_error(denoiser, cell.condition, cell.x_0, cell.eps, cell.t).mean().detach()
    assert losses["heldout_cell"] == pytest.approx(float(by_hand), rel=1e-6)
    # A new network says zero: the loss is the mean square of eps - x_0.
    assert losses["heldout_cell"] == pytest.approx(float((cell.eps - cell.x_0).square().mean()), rel=1e-5)


def test_rows_without_the_caption_are_left_out(store):
    everything = HeldOutConfig(every_images=1, rows_per_split=100, seed=3)
    counts = {problem.name: len(problem.t) for problem in fix_problems(store, everything, "tags")}
    assert counts == {"train": 7, "heldout_cell": 2, "heldout_concept": 2}


def test_samples_depend_on_their_seed_and_text_only(store, denoiser):
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    config = GridConfig(1, (), num_sampling_steps=3, guidance_scale=2.0, shift=1.5, seed=0)

    def draw(texts: list[int], config: GridConfig = config) -> np.ndarray:
        conditions = condition_of(store, np.array(texts)), condition_of(store, np.array([0]))
        return draw_samples(denoiser, autoencoder, *conditions, latent_side=2, config=config)

    images = draw([1, 2, 3])
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, draw([1, 2, 3]))
    assert (draw([1, 2, 4])[:2] == images[:2]).mean() > 0.99
    assert (draw([1, 2, 3], GridConfig(1, (), 3, 2.0, 1.5, seed=1)) != images).any()


def test_bytes_cover_the_range():
    images = torch.tensor([-1.0, 0.0, 1.0, 3.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert to_bytes(images)[0, :, :, 0].ravel().tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (6, 6, 1), (8, 6, 2)])
def test_a_grid_shows_every_image_with_its_words(count, columns, rows):
    images = np.stack([np.full((4, 4, 3), 20 * number, np.uint8) for number in range(count)])
    grid = draw_grid(images, [f"number {number}" for number in range(count)])
    assert grid.shape == (rows * (CELL_PX + CAPTION_PX), columns * CELL_PX, 3)
    for number in range(count):
        x, y = number % columns * CELL_PX, number // columns * (CELL_PX + CAPTION_PX)
        assert (grid[y : y + CELL_PX, x : x + CELL_PX] == 20 * number).all()
        words = grid[y + CELL_PX : y + CELL_PX + CAPTION_PX, x : x + CELL_PX]
        assert words.min() < 100 < words.max()


def test_words_are_wrapped_and_none_is_lost():
    font = ImageFont.load_default(size=11)
    text = "a rather long caption about a red apple in Fluent 3D style"
    lines = wrap(text, 80, font)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(font.getlength(line) <= 80 for line in lines)
