"""The texts that travel with the baked data: its card and its credits, written from manifest and package table."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from components.data.sources.packages import PACKAGES

_ATTRIBUTION = """\
# Credits

The images in this folder are other people's work, passed on under their licences. Full texts: `licenses/`.

| set | project | author | package | licence | images | what was changed |
|---|---|---|---|---|--:|---|
{table}

* **Twemoji and Emoji One are CC-BY-4.0: name their authors wherever their images, or a gallery with them, are shown.**
* Open Clip Art: each artist is named in the column `creator`; the drawings are dedicated to the public domain
  (CC-PDDC), as the RDF inside each one states. Drawings that state anything else, or nothing, are left out.
* Titles, tags and groups of the emoji are Unicode CLDR's words by way of emojibase (MIT); those of the clip art are
  its artists'.
* Every row of the tables carries `licence`, `creator` and `attribution`, so a selection can print its own credits.
"""

_CARD = """\
# Easel's embedded image set

{rows:,} drawings as lossless WebP, longer side {longer_side_px} px, {megabytes:.1f} MB, in `images/part-*.parquet`
(one part per set): {num_emoji:,} emoji in six drawing styles and {num_clipart:,} public-domain clip arts.
`MANIFEST.json` has the counts and the SHA-256 of each part.

| set | images | bytes | left out |
|---|--:|--:|---|
{table}

| category (emoji only) | images |
|---|--:|
{categories}

## What it is, and what it is not

* **Icons on white, not photographs or scenes.** A model trained on it learns icons. Claims about photographs need
  other data.
* Emoji words are Unicode CLDR's (label and tags, English and Chinese); the category tree is Unicode's (7 groups, 79
  subgroups). Flags and people are left out. Sentences that later stages make of these words come from templates, not
  from people describing these pictures.
* Clip art words are the artists': uneven, sometimes Italian, sometimes only a file name. Its drawings often sit small
  on a page, some repeat one another, many are playing cards or road signs, some are sketches of nudes. It is the
  noisy part, for the cleaning stages.
* There are no human ratings, no preferences and no photo captions in it.
* Fluent 3D and Fluent flat are largely the same drawings, shaded differently: hold out both or neither.
* Within a style one picture belongs to one concept; icons that a set shares between two meanings go to the concept
  they are named for. Two pairs of Fluent flat are equal although the set names them differently, and some old icons
  differ from their label (the blob "locked" is drawn open): they are kept as the set has them.

## Columns

`source_id` (set and hexcode or file), `source`, `image`, `title_en`, `title_zh`, `tags_en`, `tags_zh`,
`description_en`, `category`, `subcategory`, `folder` (clip art only), `concept` (hexcode without fe0f; empty for clip
art), `style`, `licence`, `creator`, `attribution`.

Licences and authors: `ATTRIBUTION.md`. Made again, byte for byte, by `components/data/sources` with the package
clients npm and apt.
"""


def attribution(manifest: Mapping[str, Any]) -> str:
    """The CREDITS table: one line per package, with how many images come from it."""
    images = manifest["counts"]["source"]
    lines = [
        f"| {package.style or 'words only'} | {package.project}, {package.home} | {package.author} "
        f"| `{package.name}` {package.version} | {package.licence} | {images.get(package.source, '-')} "
        f"| {'rendered to bitmap on white' if package.style else 'joined'} |"
        for package in PACKAGES
    ]
    return _ATTRIBUTION.format(table="\n".join(lines))


def data_card(manifest: Mapping[str, Any]) -> str:
    """The data card: what is in the set, how much, and what must not be concluded from it."""
    num_clipart = manifest["counts"]["source"].get("openclipart", 0)
    sets = [
        f"| {part['source']} | {part['rows']:,} | {part['bytes']:,} "
        f"| {'; '.join(f'{reason}: {count}' for reason, count in part['left_out'].items()) or '-'} |"
        for part in manifest["parts"]
    ]
    categories = [f"| {name} | {count:,} |" for name, count in manifest["counts"]["category"].items() if name != "none"]
    return _CARD.format(
        rows=manifest["rows"],
        longer_side_px=manifest["longer_side_px"],
        megabytes=manifest["bytes"] / 1e6,
        num_emoji=manifest["rows"] - num_clipart,
        num_clipart=num_clipart,
        table="\n".join(sets),
        categories="\n".join(categories),
    )


def write_texts(manifest: Mapping[str, Any], folder: Path) -> None:
    """Writes README.md, ATTRIBUTION.md and licenses/ into `folder`."""
    (folder / "README.md").write_text(data_card(manifest), encoding="utf-8")
    (folder / "ATTRIBUTION.md").write_text(attribution(manifest), encoding="utf-8")
    (folder / "licenses").mkdir()
    for text in files("components.data.sources").joinpath("licenses").iterdir():
        (folder / "licenses" / text.name).write_bytes(text.read_bytes())
