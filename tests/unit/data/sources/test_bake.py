"""The bake on tiny made packages: rows, counts and texts agree; the same bytes twice; other people's folders stay."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.data.records import RAW
from components.data.sources import bake as bake_module
from components.data.sources.bake import bake, verify_manifest
from components.data.sources.packages import PACKAGES, PackageUnavailableError

CLIPART = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:cc="http://web.resource.org/cc/" width="10" height="20"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><metadata><rdf:RDF><cc:Work>
  <cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata><circle r="{radius}"/></svg>"""
PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def made_packages(root: Path) -> dict[str, Path]:
    """Every package with three emoji: an apple, a person (left out by its group) and a blank one; three clip arts."""
    folders = {package.source: root / package.source for package in PACKAGES}
    emoji = [
        {"hexcode": "1F34E", "label": "red apple", "tags": ["fruit"], "group": 4, "subgroup": 42, "order": 2},
        {"hexcode": "1F9D1", "label": "person", "group": 1, "subgroup": 23, "order": 1},
        {"hexcode": "1F32B-FE0F", "label": "fog", "group": 5, "subgroup": 59, "order": 3},
    ]
    for language in ("en", "zh"):
        write_json(folders["emojibase"] / language / "data.json", emoji)
    names = {"42": "food-fruit", "23": "person", "59": "sky-weather"}
    write_json(folders["emojibase"] / "meta/groups.json", {"subgroups": names})
    for number, package in enumerate(PACKAGES):
        if package.style and package.source != "openclipart":
            circle = {"body": f'<circle cx="8" cy="8" r="{number + 1}"/>'}
            icons = {"red-apple": circle, "person": circle, "fog": {"body": ""}}
            write_json(
                folders[package.source] / "icons.json", {"prefix": package.source, "icons": icons, "aliases": {}}
            )
            chars = {"1f34e": "red-apple", "1f32b": "fog"} if package.source in ("noto", "twemoji") else {}
            write_json(folders[package.source] / "chars.json", chars)
    food = folders["openclipart"] / "usr/share/openclipart/svg/food/fruit"
    food.mkdir(parents=True)
    for name, licence, radius in (("a_pear", PUBLIC_DOMAIN, 5), ("blank", PUBLIC_DOMAIN, 0), ("gpl", "GPL", 5)):
        (food / f"{name}.svg").write_text(CLIPART.format(licence=licence, radius=radius), encoding="utf-8")
    return folders


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Folder baked twice over itself, with both manifests."""
    root = tmp_path_factory.mktemp("bake")
    folders = made_packages(root / "packages")
    (root / "data/autoencoder").mkdir(parents=True)
    (root / "data/autoencoder/model.safetensors").write_bytes(b"kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bake_module, "fetch_packages", lambda _: folders)
        first, second = (bake(root / "data", root / "work") for _ in range(2))
    return root / "data", first, second


def test_baking_twice_gives_the_same_bytes(baked: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    data_dir, first, second = baked
    assert first == second
    assert json.loads((data_dir / "MANIFEST.json").read_text(encoding="utf-8")) == first


def test_only_what_is_baked_is_replaced_and_nothing_temporary_stays(
    baked: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    data_dir, _, _ = baked
    names = {path.name for path in data_dir.iterdir()}
    assert names == {"images", "licenses", "autoencoder", "README.md", "ATTRIBUTION.md", "MANIFEST.json"}
    assert (data_dir / "autoencoder/model.safetensors").read_bytes() == b"kept"


def test_rows_agree_with_the_manifest(baked: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    data_dir, manifest, _ = baked
    assert manifest["rows"] == 7  # six apples, one pear
    assert manifest["counts"]["category"] == {"food": 6, "none": 1}
    assert manifest["counts"]["licence"] == {"Apache-2.0": 2, "CC-BY-4.0": 2, "CC-PDDC": 1, "MIT": 2}
    for part in manifest["parts"]:
        table = pq.read_table(data_dir / part["name"])
        assert table.schema.equals(RAW)
        assert table.num_rows == part["rows"]
        assert set(table["source"].to_pylist()) == {part["source"]}
    assert manifest["parts"][0]["left_out"] == {"blank or not renderable": 1}
    assert manifest["parts"][-1]["left_out"] == {"blank or not renderable": 1, "licence is not public domain": 1}


def test_emoji_and_clip_art_rows_carry_their_words_and_credits(
    baked: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    data_dir, _, _ = baked
    (apple,) = pq.read_table(data_dir / "images/part-00002.parquet").to_pylist()
    (pear,) = pq.read_table(data_dir / "images/part-00006.parquet").to_pylist()
    assert (apple["source_id"], apple["concept"], apple["style"]) == ("twemoji/1f34e", "1f34e", "flat Twemoji")
    assert (apple["category"], apple["subcategory"], apple["folder"]) == ("food", "food-fruit", None)
    assert apple["tags_en"] == ["fruit"]
    assert "Twitter" in apple["attribution"]
    assert "CC-BY-4.0" in apple["attribution"]
    assert (pear["source_id"], pear["title_en"], pear["creator"]) == (
        "openclipart/food/fruit/a_pear",
        "a pear",
        "unknown",
    )
    assert (pear["category"], pear["folder"], pear["concept"]) == (None, "food", "")


def test_texts_name_every_author_licence_and_count(baked: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    data_dir, _, _ = baked
    credit = (data_dir / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for package in PACKAGES:
        assert f"| {package.author} | `{package.name}` {package.version} | {package.licence} |" in credit
        assert (data_dir / "licenses" / f"{package.licence}.txt").stat().st_size > 1000
    assert "7 drawings" in (data_dir / "README.md").read_text(encoding="utf-8")


def test_verify_names_a_changed_a_missing_and_a_foreign_part(
    baked: tuple[Path, dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    data_dir, _, _ = baked
    assert verify_manifest(data_dir) == []
    (tmp_path / "images").mkdir()
    for path in (data_dir / "MANIFEST.json", *sorted((data_dir / "images").iterdir())[1:]):
        (tmp_path / path.relative_to(data_dir)).write_bytes(path.read_bytes())
    changed = tmp_path / "images/part-00003.parquet"
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    (tmp_path / "images/foreign.parquet").write_bytes(b"")
    assert verify_manifest(tmp_path) == [
        "images/foreign.parquet",
        "images/part-00000.parquet",
        "images/part-00003.parquet",
    ]


@pytest.mark.parametrize("text", [None, "", "[]", '{"parts": [{}]}'])
def test_verify_without_a_readable_manifest_says_what_to_do(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "MANIFEST.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="bake the data again"):
        verify_manifest(tmp_path)


def test_when_a_package_cannot_be_had_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(_: Path) -> dict[str, Path]:
        raise PackageUnavailableError("package x 1 cannot be had: npm is not installed")

    monkeypatch.setattr(bake_module, "fetch_packages", unavailable)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/README.md").write_text("as it was", encoding="utf-8")
    with pytest.raises(PackageUnavailableError):
        bake(tmp_path / "data", tmp_path / "work")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["README.md"]
    assert (tmp_path / "data/README.md").read_text(encoding="utf-8") == "as it was"
