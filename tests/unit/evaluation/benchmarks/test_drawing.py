"""Pictures that appear whole or not at all, are drawn once, and never with two settings in one folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.evaluation.benchmarks.drawing import IMAGES, begin, draw_missing, drawings, drawn_before, in_a_grid
from components.evaluation.benchmarks.suite import Case, Picture

CASE = Case("0", "a cat", "", note='{"tag": "x"}')
PICTURES = [Picture(f"0/{seed}.png", CASE, [seed], "0/metadata.jsonl") for seed in range(4)]
GRID = Picture("text/turbo/000.webp", CASE, [1, 2, 3, 4])


def noise(prompt: str, seed: int) -> Image.Image:
    pixels = np.random.default_rng([seed, len(prompt)]).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def draw(folder: Path, pictures: Sequence[Picture], asked: list[tuple[str, int]] | None = None) -> int:
    def one(prompt: str, seed: int) -> Image.Image:
        if asked is not None:
            asked.append((prompt, seed))
        return noise(prompt, seed)

    return draw_missing(folder, pictures, {}, one, lambda done, total: None)


@pytest.mark.parametrize("picture", [PICTURES[1], GRID])
def test_what_was_drawn_is_read_back_to_the_last_bit(picture: Picture, tmp_path: Path) -> None:
    draw(tmp_path, [picture])
    expected = [np.asarray(noise("a cat", seed)) for seed in picture.seeds]
    assert np.array_equal(drawings(tmp_path, picture), np.stack(expected))


def test_a_grid_fills_a_square() -> None:
    assert in_a_grid([noise("", seed) for seed in range(4)]).size == (32, 16)
    with pytest.raises(ValueError, match="3 images do not fill a square"):
        in_a_grid([noise("", seed) for seed in range(3)])


def test_only_what_is_missing_is_drawn(tmp_path: Path) -> None:
    begin(tmp_path, {"seed": 0}, PICTURES, {})
    assert draw(tmp_path, PICTURES[:2]) == 2
    asked: list[tuple[str, int]] = []
    assert draw(tmp_path, PICTURES, asked) == 2
    assert asked == [("a cat", 2), ("a cat", 3)]
    assert (tmp_path / IMAGES / "0" / "metadata.jsonl").read_text() == '{"tag": "x"}\n'
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_told_is_drawn_in_the_prompts_place(tmp_path: Path) -> None:
    asked: list[str] = []

    def one(prompt: str, seed: int) -> Image.Image:
        asked.append(prompt)
        return noise(prompt, seed)

    draw_missing(tmp_path, PICTURES[:1], {"a cat": "a grey cat sits"}, one, lambda done, total: None)
    assert asked == ["a grey cat sits"]


def test_a_drawing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fails(prompt: str, seed: int) -> Image.Image:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        draw_missing(tmp_path, PICTURES, {}, fails, lambda done, total: None)
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_of_other_settings_are_never_mixed(tmp_path: Path) -> None:
    begin(tmp_path, {"seed": 0, "steps": 8}, PICTURES, {})
    begin(tmp_path, {"seed": 1, "steps": 8}, PICTURES, {})  # nothing was drawn yet
    draw(tmp_path, PICTURES[:1])
    begin(tmp_path, {"seed": 1, "steps": 8}, PICTURES, {})
    with pytest.raises(ValueError, match="drawn with steps 8, not 25; move it away, or draw them anew with --again"):
        begin(tmp_path, {"seed": 1, "steps": 25}, PICTURES, {})
    assert drawn_before(tmp_path)[0] == {"seed": 1, "steps": 8}


def test_what_was_drawn_stays_known_when_less_is_asked_for(tmp_path: Path) -> None:
    begin(tmp_path, {"seed": 0}, PICTURES, {"a cat": "a grey cat"})
    begin(tmp_path, {"seed": 0}, PICTURES[:1], {})
    _, pictures = drawn_before(tmp_path)
    assert {file: row["told"] for file, row in pictures.items()} == {
        "0/0.png": "a cat",
        **dict.fromkeys(("0/1.png", "0/2.png", "0/3.png"), "a grey cat"),
    }
    assert pictures["0/3.png"]["seeds"] == [3]
    begin(tmp_path, {"seed": 1}, PICTURES[:1], {})
    assert list(drawn_before(tmp_path)[1]) == ["0/0.png"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / IMAGES / "0" / ".0-abc.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    begin(tmp_path, {"seed": 0}, PICTURES, {})
    assert not left.exists()


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0/0\.png: missing; the same command draws it"):
        drawings(tmp_path, PICTURES[0])
    draw(tmp_path, PICTURES[:1])
    (tmp_path / IMAGES / "0" / "0.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(ValueError, match=r"0\.png: damaged; delete it"):
        drawings(tmp_path, PICTURES[0])
    (tmp_path / "drawn.json").write_text("{")
    with pytest.raises(ValueError, match=r"drawn\.json: damaged"):
        begin(tmp_path, {"seed": 0}, PICTURES, {})
