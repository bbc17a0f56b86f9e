"""What people said of images, from files: a score from 0 to 100 each, and of tournaments also who won against whom.

* `csv`: columns image (a path beside the file), and score (0 to 100) or tier (1 to 10); where known category and group
  (`black_and_white`, `snapshots`, `ai_made`).
* `ava`: AVA.txt with its fifteen numbers a line, beside the folder `images` with NUMBER.jpg.
* `tournament`: a folder with `images` and what `easel annotate` leaves, ANNOTATOR/votes.jsonl: mean tiers.

Every fault is one line that names file and row. Nothing is read from outside the folder. ERIA-1K is no kind of labels:
it is a benchmark, and nothing is trained on it.

Source: Murray et al. 2012, AVA: a large-scale database for aesthetic visual analysis.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.data.readers.interface import printable
from components.preference.gallery import pictures_in
from components.preference.ratings import ratings_of
from components.preference.standings import EQUAL_SHARES, TIERS
from components.preference.swiss import POINTS
from components.preference.votes_log import last_choices, read_log

GROUPS = ("", "black_and_white", "snapshots", "ai_made")
ERROR_RATE = 0.1
"""How often an annotator is thought to err when votes become places."""
_MAX_LINE = 1 << 16
_AVA_NUMBERS = 15


@dataclass(frozen=True)
class Labelled:
    """An image and its score in [0, 100]; `name` is unique, `place` is where it was read, others are "" if unknown."""

    name: str
    file: Path
    score: float
    category: str
    group: str
    place: str


@dataclass(frozen=True)
class Won:
    """What a comparison of two images, by name, came to: 1 if the first won, 0 if the second did, 0.5 for a tie."""

    first: str
    second: str
    points: float


@dataclass(frozen=True)
class Labels:
    """Images with labels, and comparisons of them if there were any; `description` says whose word it is."""

    images: list[Labelled]
    won: list[Won]
    description: str


def read_labels(place: Path, kind: str, limits: DecodeLimits) -> Labels:
    """The labels at `place`, of one of the kinds in `READERS`; DataError in one line for what cannot be."""
    if kind not in READERS:
        raise DataError(f"{place}: labels of kind {kind!r}; allowed: {', '.join(READERS)}")
    found = READERS[kind](place, limits)
    seen: dict[str, str] = {}
    for one in found.images:
        if one.name in seen:
            raise DataError(f"{one.place}: {printable(one.name)[:120]} is there already, in {seen[one.name]}; keep one")
        seen[one.name] = one.place
    if len({one.score for one in found.images}) < 2:
        raise DataError(f"{place}: {len(found.images)} images, all with one score; bring images that differ")
    return found


def tier_score(tier: float) -> float:
    """100 (tier - 1) / 9."""
    return 100.0 * (tier - 1) / (TIERS - 1)


def _csv(file: Path, _: DecodeLimits) -> Labels:
    images: list[Labelled] = []
    for place, row in _csv_rows(file):
        name = row.get("image") or ""
        group = row.get("group") or ""
        if group not in GROUPS:
            raise DataError(
                f"{place}: group {printable(repr(group))[:80]}; allowed: {', '.join(GROUPS[1:])} or nothing"
            )
        image = _beside(file.parent, name, place)
        images.append(Labelled(name, image, _score(row, place), row.get("category") or "", group, place))
    return Labels(images, [], f"scores of people in {file.name}")


def _csv_rows(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    csv.field_size_limit(_MAX_LINE)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            columns = rows.fieldnames or []
            if "image" not in columns or not {"score", "tier"} & set(columns):
                raise DataError(
                    f"{file}: columns are {', '.join(map(printable, columns)) or 'none'}; "
                    "needed: image, and score or tier"
                )
            for row in rows:
                place = f"{file}, line {rows.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{place}: not as many fields as there are columns; mend the row")
                yield place, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not readable as CSV ({' '.join(str(error).split())[:120]})") from error


def _score(row: dict[str, str], place: str) -> float:
    if row.get("score"):
        return _number(row["score"], "score", place, 0, 100)
    return tier_score(_number(row.get("tier") or "", "tier", place, 1, TIERS))


def _number(text: str, what: str, place: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not low <= value <= high:
        raise DataError(f"{place}: {what} is {printable(repr(text))[:80]}; allowed: a number from {low:g} to {high:g}")
    return value


def _ava(file: Path, _: DecodeLimits) -> Labels:
    images: list[Labelled] = []
    for place, line in _lines(file):
        fields = line.split()
        if len(fields) != _AVA_NUMBERS or not all(field.isascii() and field.isdigit() for field in fields):
            raise DataError(
                f"{place}: {len(fields)} fields; allowed: {_AVA_NUMBERS} whole numbers, as AVA.txt has them"
            )
        numbers = [int(field) for field in fields]
        votes = np.array(numbers[2:12], np.float64)
        if not votes.sum():
            raise DataError(f"{place}: image {numbers[1]} has no votes; remove the row")
        mean = float(votes @ np.arange(1, 11) / votes.sum())
        category = f"tag {numbers[12]}" if numbers[12] else ""
        image = _beside(file.parent / "images", f"{numbers[1]}.jpg", place)
        images.append(Labelled(str(numbers[1]), image, tier_score(mean), category, "", place))
    return Labels(images, [], "mean votes of AVA's photographers")


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    try:
        with file.open(encoding="utf-8") as stream:
            number = 0
            while line := stream.readline(_MAX_LINE):
                number += 1
                if line.strip():
                    yield f"{file}, line {number}", line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not readable as text ({' '.join(str(error).split())[:120]})") from error


def _tournament(folder: Path, limits: DecodeLimits) -> Labels:
    pictures = pictures_in(folder / "images", limits)
    logs = {file.parent.name: read_log(file) for file in sorted(folder.glob("*/votes.jsonl"))}
    logs = {annotator: votes for annotator, votes in logs.items() if votes}
    if not logs:
        raise DataError(f"{folder}: no ANNOTATOR/votes.jsonl with a vote; bring what `easel annotate` left")
    for annotator, votes in logs.items():
        absent = next((name for vote in votes for name in (vote.image_a, vote.image_b) if name not in pictures), None)
        if absent is not None:
            raise DataError(
                f"{folder / annotator}: votes on image {printable(absent)[:80]}, which is not in {folder / 'images'}"
            )
    found = ratings_of(logs, ERROR_RATE, EQUAL_SHARES)
    mean = np.nanmean(found.tiers, axis=0).tolist()
    images = [
        Labelled(name, Path(str(pictures[name].source)), tier_score(tier), "", "", str(folder))
        for name, tier in zip(found.images, mean, strict=True)
    ]
    won = [
        Won(match.left, match.right, POINTS[choice])
        for votes in logs.values()
        for match, choice in last_choices(votes).items()
        if not match.is_repeat
    ]
    return Labels(images, won, f"tiers from the tournament {printable(folder.name)}, by annotators: {len(logs)}")


def _beside(folder: Path, name: str, place: str) -> Path:
    """The image that is called `name` in `folder`; links that lead out of it are not followed."""
    shown = printable(repr(name))[:120]
    path = (folder / name).resolve() if name and "\0" not in name else folder
    if path == folder or not path.is_relative_to(folder.resolve()):
        raise DataError(f"{place}: an image is called {shown}; allowed: a path below {folder}")
    if not path.is_file():
        raise DataError(f"{place}: there is no image {shown} in {folder}; put it there, or remove the row")
    return path


READERS: dict[str, Callable[[Path, DecodeLimits], Labels]] = {"csv": _csv, "ava": _ava, "tournament": _tournament}
