from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.generate import generate, save_png
from flows.requests import family_of


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": "  \n"}, "prompt is empty"),
        ({"prompt": "x" * 2049}, "2049 characters"),
        ({"width": 60}, "width 60 is not possible; give a multiple of 16 from 16 to 1024"),
        ({"height": 0}, "height 0"),
        ({"height": 2048}, "height 2048"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"guidance": float("nan")}, "guidance must be"),
        ({"seed": -1}, "seed must be"),
        ({"out": Path("apple.jpg")}, r"end its name with \.png"),
        ({"out": Path("nowhere/apple.png")}, "the folder nowhere does not exist"),
    ],
)
def test_mistakes_get_one_line_before_anything_is_loaded(change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"prompt": "a red apple", "out": Path("apple.png")} | change
    with pytest.raises(ValueError, match=says) as raised:
        generate(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("latest", ("easel", "artifacts/export", "latest")),
        ("candidate", ("easel", "artifacts/export", "candidate")),
        ("turbo", ("easel-turbo", "artifacts/export_turbo", "latest")),
        ("turbo:3", ("easel-turbo", "artifacts/export_turbo", "3")),
        ("turbo:candidate", ("easel-turbo", "artifacts/export_turbo", "candidate")),
        ("./turbo", ("easel", "artifacts/export", "./turbo")),
        (":3", ("easel", "artifacts/export", ":3")),
    ],
)
def test_turbo_is_a_model_of_its_own(model: str, found: tuple[str, str, str]) -> None:
    name, export, version = family_of(model)
    assert (name, export.as_posix(), version) == found


def test_an_image_is_whole_or_not_there(tmp_path: Path) -> None:
    class Broken(Image.Image):
        def save(self, fp: Any, *args: Any, **kwargs: Any) -> None:
            fp.write(b"half")
            raise OSError("disk full")

    (tmp_path / "apple.png").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        save_png(Broken(), tmp_path / "apple.png", {})
    assert [path.name for path in tmp_path.iterdir()] == ["apple.png"]
    assert (tmp_path / "apple.png").read_bytes() == b"old"
