"""What a model of taste learns from: proxy tiers in a known order, people's labels, and what is held out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.preference.aes_labels import Labelled, Labels, Won
from components.preference.taste import labelled_taste, proxy_taste, without_colour

LIMITS = DecodeLimits(10_000_000, 10_000_000, 1000.0)
STRENGTHS = tuple(np.linspace(0, 1.2, 9).tolist())


def pictures(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def means(images) -> np.ndarray:
    """A network that sees the mean colour."""
    return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]).astype(np.float32)


def proxy(n: int = 6):
    names, held = [f"sample{number}" for number in range(n)], np.arange(n) < 2
    return proxy_taste(
        pictures(n), names, ["food"] * n, held, ("blur", "noise"), STRENGTHS, lambda stacks: [*map(means, stacks)], 0
    )


def files(folder: Path, n: int = 40) -> list[Labelled]:
    made = []
    for number in range(n):
        file = folder / f"{number}.png"
        Image.fromarray(np.full((8, 8 + number, 3), 6 * number, np.uint8)).save(file)
        made.append(Labelled(file.name, file, 100 * number / n, "", "", f"labels.csv, line {number + 2}"))
    return made


def nobody(data, names) -> None:
    """No picture stands in any evaluation set."""


def test_a_proxy_s_tiers_fall_from_the_picture_as_it_is():
    found = proxy()
    assert found.is_proxy
    assert "no person judged anything" in found.description
    assert found.scores.reshape(6, 10)[0] == pytest.approx([100 * (tier - 1) / 9 for tier in range(10, 0, -1)])
    np.testing.assert_array_equal(found.features[::10], means(pictures()))  # versions of a picture lie together
    assert found.names[:11] == ["sample0"] * 10 + ["sample1"]
    assert found.shown_rows.tolist() == [0, 10]
    np.testing.assert_array_equal(found.shown[1], pictures()[1])


def test_a_proxy_compares_versions_of_one_picture_only():
    found = proxy()
    assert len(found.rows) == 6 * 45
    assert (found.rows // 10)[:, 0].tolist() == (found.rows // 10)[:, 1].tolist()
    better = np.where(found.points == 1, found.rows[:, 0], found.rows[:, 1])
    worse = np.where(found.points == 1, found.rows[:, 1], found.rows[:, 0])
    assert (better < worse).all()
    assert 0.3 < found.points.mean() < 0.7  # the better one stands first as often as not
    assert found.compared(True).sum() == 2 * 45


def test_people_s_comparisons_are_taken_within_a_part(tmp_path):
    images = files(tmp_path)
    won = [Won(images[a].name, images[a + 1].name, 0.0) for a in range(39)]
    found = labelled_taste(Labels(images, won, "people"), LIMITS, 0.3, means, nobody, 0)
    assert not found.is_proxy
    assert 0 < found.is_heldout.sum() < 40
    assert (found.is_heldout[found.rows[:, 0]] == found.is_heldout[found.rows[:, 1]]).all()
    assert 0 < len(found.rows) < 39
    assert set(found.points.tolist()) == {0.0}
    np.testing.assert_allclose(found.features[:, 0], [6 * number for number in range(40)])


def test_scores_without_comparisons_are_compared_within_a_part(tmp_path):
    images = files(tmp_path)
    found = labelled_taste(Labels(images, [], "people"), LIMITS, 0.3, means, nobody, 0)
    first, second = found.scores[found.rows].T
    np.testing.assert_array_equal(found.points, np.where(first == second, 0.5, first > second))
    assert (found.is_heldout[found.rows[:, 0]] == found.is_heldout[found.rows[:, 1]]).all()
    assert set(found.rows[:, 0].tolist()) == set(range(40))
    assert [picture.shape[1] for picture in found.shown] == [8 + row for row in found.shown_rows.tolist()]


def test_which_images_are_held_out_does_not_move_with_others(tmp_path):
    images = files(tmp_path)
    whole = labelled_taste(Labels(images, [], ""), LIMITS, 0.3, means, nobody, 0)
    part = labelled_taste(Labels(images[10:], [], ""), LIMITS, 0.3, means, nobody, 0)
    np.testing.assert_array_equal(part.is_heldout, whole.is_heldout[10:])


def test_an_image_that_cannot_be_read_is_refused_with_its_row(tmp_path):
    images = files(tmp_path)
    images[7].file.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(DataError, match=r"labels.csv, line 9: image 7.png cannot be read.*remove the row"):
        labelled_taste(Labels(images, [], ""), LIMITS, 0.3, means, nobody, 0)


def test_what_stands_in_an_evaluation_set_is_refused(tmp_path):
    def apart(data, names):
        if any(name.endswith("image 11.png") for name in names):
            raise DataError("stands in the evaluation set")

    with pytest.raises(DataError, match="evaluation set"):
        labelled_taste(Labels(files(tmp_path), [], ""), LIMITS, 0.3, means, apart, 0)


def test_a_part_without_two_scores_is_refused(tmp_path):
    with pytest.raises(DataError, match="bring more images"):
        labelled_taste(Labels(files(tmp_path, 2), [], ""), LIMITS, 0.3, means, nobody, 0)


def test_a_picture_without_colour_keeps_its_luma():
    found = without_colour(pictures(1)[0])
    assert found.shape == (32, 32, 3)
    assert np.ptp(found, axis=2).max() == 0
    told = np.asarray(Image.fromarray(pictures(1)[0]).convert("L"))
    assert np.abs(found[..., 0].astype(int) - told).max() <= 1
