"""What the folder of a benchmark's drawings is called."""

from pathlib import Path

import pytest

from flows.benchmark import label_of


@pytest.mark.parametrize(
    ("model", "label"),
    [("latest", "latest"), ("turbo:3", "turbo-3"), ("turbo:candidate", "turbo-candidate"), ("3", "3")],
)
def test_a_version_goes_by_its_words(model: str, label: str) -> None:
    assert label_of(model, enhance=False) == label
    assert label_of(model, enhance=True) == f"{label}-enhanced"


def test_a_directory_goes_by_its_name_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert {label_of(name, enhance=False) for name in (str(folder), f"{folder}/", ".", "../my model")} == {"my-model"}
