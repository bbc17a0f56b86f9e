"""Sample grids and held-out losses: fixed problems, so that two looks compare."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import ImageFont

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.models.denoiser import Denoiser, TextCondition
from components.objectives.flow_matching import velocity_error
from components.training.batches import condition_of
from components.training.config import GridConfig, HeldOutConfig
from components.training.grids import CAPTION_PX, CELL_PX, draw_grid, draw_samples, to_bytes, wrap
from components.training.held_out import fix_problems, held_out_losses

HELD_OUT = HeldOutConfig(every_images=1, rows_per_split=4, seed=3)


SQUARE, WIDE = Bucket(32, 32), Bucket(16, 64)


def in_two_buckets(store: LatentStore) -> dict[Bucket, LatentStore]:
    """The store's rows, every third one in another shape."""
    rows = np.arange(len(store.latents))

    def part(rows: np.ndarray, shape: tuple[int, int]) -> LatentStore:
        return replace(
            store,
            latents=store.latents[rows].reshape(len(rows), -1, *shape),
            rows=store.rows.take(rows),
            captions={kind: texts[rows] for kind, texts in store.captions.items()},
        )

    return {SQUARE: part(rows[rows % 3 > 0], (2, 2)), WIDE: part(rows[rows % 3 == 0], (1, 4))}


def test_problems_are_the_same_at_every_look(store):
    one, two = (fix_problems({SQUARE: store}, HELD_OUT, ("short",)) for _ in range(2))
    assert [problem.name for problem in one] == ["heldout_cell", "heldout_concept", "train"]
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.eps, b.eps)
        assert torch.equal(a.t, b.t)
    # The times are spread evenly over (0, 1), in another order.
    assert sorted(one[2].t.tolist()) == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_a_split_s_loss_is_the_mean_error_of_its_rows(store, denoiser):
    problems = fix_problems({SQUARE: store}, HELD_OUT, ("short",))
    losses = held_out_losses(denoiser, problems)
    assert set(losses) == {"train", "heldout_cell", "heldout_concept", "train/food"}  # elsewhere too few of a category
    cell = problems[0]
    by_hand = velocity_error(denoiser, cell.condition, cell.x_0, cell.eps, cell.t).mean().detach()
    assert losses["heldout_cell"] == pytest.approx(float(by_hand), rel=1e-6)
    # A new network says zero: the loss is the mean square of eps - x_0.
    assert losses["heldout_cell"] == pytest.approx(float((cell.eps - cell.x_0).square().mean()), rel=1e-5)


def test_rows_without_the_caption_are_left_out(store):
    everything = HeldOutConfig(every_images=1, rows_per_split=100, seed=3)
    counts = {problem.name: len(problem.t) for problem in fix_problems({SQUARE: store}, everything, ("tags",))}
    assert counts == {"train": 7, "heldout_cell": 2, "heldout_concept": 2}


def test_a_row_stands_with_each_of_its_captions(store, denoiser):
    everything = HeldOutConfig(every_images=1, rows_per_split=100, seed=3)
    problems = {problem.name: problem for problem in fix_problems({SQUARE: store}, everything, ("short", "tags"))}
    train = problems["train"]
    assert train.rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7]  # row 3 has no tags
    texts = np.delete(np.array([text for row in range(8) for text in (row + 1, row + 13)]), 7)
    assert torch.equal(train.condition.states, condition_of(store, texts).states)
    assert torch.equal(train.x_0, torch.from_numpy(store.latents[train.rows]).float())
    # Two rows of a category are two, however often they stand there.
    assert len(problems["heldout_cell"].t) == 4
    assert "heldout_cell/food" not in held_out_losses(denoiser, list(problems.values()))


def test_categories_and_buckets_share_out_a_split_s_rows(store, denoiser):
    everything = HeldOutConfig(every_images=1, rows_per_split=100, seed=3)
    categories = pa.array(["food", "tools"] * 4 + ["food"] * 4)
    index = store.rows.schema.get_field_index("category")
    store = replace(store, rows=store.rows.set_column(index, store.rows.schema.field(index), categories))
    problems = fix_problems(in_two_buckets(store), everything, ("short",))
    assert [(p.name, p.bucket, len(p.t)) for p in problems if p.name == "train"] == [
        ("train", "32x32", 5),
        ("train", "16x64", 3),
    ]
    # The times are spread evenly over the whole split.
    times = torch.cat([p.t for p in problems if p.name == "train"])
    assert sorted(times.tolist()) == pytest.approx([(i + 0.5) / 8 for i in range(8)])
    losses = held_out_losses(shaken(denoiser), problems)
    buckets, by_category = (5 * losses["train/32x32"] + 3 * losses["train/16x64"]) / 8, ["train/food", "train/tools"]
    assert losses["train"] == pytest.approx(buckets, rel=1e-9)
    assert losses["train"] == pytest.approx(sum(losses[name] for name in by_category) / 2, rel=1e-9)
    # By hand, one row after another.
    errors = [
        velocity_error(denoiser, rows_of(p.condition, i), p.x_0[i : i + 1], p.eps[i : i + 1], p.t[i : i + 1]).item()
        for p in problems
        if p.name == "train"
        for i, category in enumerate(p.categories)
        if category == "tools"
    ]
    assert losses["train/tools"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_the_batch_of_a_forward_pass_changes_nothing(store, denoiser):
    problems = fix_problems({SQUARE: store}, HELD_OUT, ("short",))
    whole, cut = (held_out_losses(shaken(denoiser), problems, max_batch) for max_batch in (128, 3))
    assert whole == pytest.approx(cut, rel=1e-5)


def rows_of(condition: TextCondition, row: int) -> TextCondition:
    return TextCondition(condition.states[row : row + 1], condition.lengths[row : row + 1])


def shaken(denoiser: Denoiser) -> Denoiser:
    """With other weights than those of a new network, which says zero."""
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return denoiser


def test_samples_depend_on_their_seed_and_text_only(store, denoiser):
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()
    shaken(denoiser)
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
