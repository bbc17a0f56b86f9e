"""Recipes are copied over params.yaml only where nothing of a person is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from flows.settings import SettingsError
from flows.start import reading, recipe_file, use_recipe

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "infra" / "recipes", tmp_path / "infra" / "recipes")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    for command in (
        ["init", "--quiet"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_recipe_is_copied_as_it_is_or_for_another_pool(root: Path) -> None:
    use_recipe(root, "smoke")
    smoke = (root / "infra" / "recipes" / "smoke.yaml").read_text()
    assert (root / "params.yaml").read_text() == smoke
    use_recipe(root, "smoke", "holiday")
    assert (root / "params.yaml").read_text() == smoke.replace("  pools: [images]", "  pools: [holiday]")
    use_recipe(root, "smoke", "other")  # what a recipe wrote is no person's edit, whatever its pool
    assert "  pools: [other]" in (root / "params.yaml").read_text()


def test_edits_of_a_person_are_never_overwritten(root: Path) -> None:
    with (root / "params.yaml").open("a") as stream:
        stream.write("# mine\n")
    with pytest.raises(SettingsError, match="holds edits that a recipe would overwrite"):
        recipe_file(root, "smoke")


def test_an_unknown_recipe_names_those_there_are(root: Path) -> None:
    with pytest.raises(SettingsError, match=r"'smok'; infra/recipes/ holds: .*smoke"):
        recipe_file(root, "smok")


def test_only_the_first_pools_line_changes() -> None:
    assert (
        reading("ingest:\n  pools: [a, b] # why\nx:\n  pools: [c]\n", "p")
        == "ingest:\n  pools: [p]\nx:\n  pools: [c]\n"
    )
