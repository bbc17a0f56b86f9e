"""Tournaments of images: the page on which a person votes, and what came of it. What `easel annotate` does."""

import csv
import re
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import settings

if TYPE_CHECKING:
    from components.preference.gallery import Picture
    from components.preference.session import Session
    from components.preference.voting_server import VotingServer

QUESTION = "Which of the two looks more pleasing?"
ERROR_RATE = 0.1
"""How often an annotator is thought to err when votes become places."""
MIN_ACCURACY, MIN_CONSISTENCY, MIN_SIDE_P = 0.8, 0.6, 0.001
REPEAT_FRAC = 0.05
_MAX_PIXELS, _MAX_BYTES, _MAX_RATIO = 64_000_000, 64_000_000, 1000.0
_NAME = re.compile(r"[^\W_][\w.-]{0,79}")


def open_session(
    images: Path, annotator: str, *, name: str, prompt: str, num_calibration: int, seed: int
) -> "tuple[Session, dict[str, Picture], Path]":
    """The tournament of a folder's images as one annotator has left it, its pictures, and where its votes lie.

    Raises:
        ValueError: in one line, for images, names or votes that cannot be.
    """
    from components.data.config import DecodeLimits
    from components.preference.calibration import CalibrationRules
    from components.preference.gallery import damaged_pairs, pictures_in
    from components.preference.json_rows import MAX_PROMPT_CHARACTERS
    from components.preference.session import Session, Tournament
    from components.preference.swiss import Plan

    name = name or images.resolve().name
    _check_name("name", name)
    _check_name("annotator", annotator)
    if not prompt.strip() or len(prompt) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"prompt of {len(prompt)} characters; allowed: 1 to {MAX_PROMPT_CHARACTERS}, not all blank")
    limits = DecodeLimits(_MAX_PIXELS, _MAX_BYTES, _MAX_RATIO)
    pictures = pictures_in(images, limits)
    shown, known = damaged_pairs(pictures, num_calibration, seed, limits)
    tournament = Tournament(
        name=name,
        prompt=prompt,
        plan=Plan(tuple(pictures), seed, REPEAT_FRAC),
        known=tuple(known),
        rules=CalibrationRules(MIN_ACCURACY, MIN_CONSISTENCY, MIN_SIDE_P),
        annotator=annotator,
        versions={"easel": version("easel")},
    )
    folder = settings.home(settings.find_root(Path.cwd())) / "tournaments" / name / annotator
    return Session(tournament, folder, time.time), pictures | shown, folder


def compared(name: str, categories: "dict[str, str]") -> dict[str, Any]:
    """How far the annotators of a tournament agree: Kendall's W of places, Krippendorff's alpha of tiers, biases.

    `categories` are those of the images, by sample id; without any there are no biases.

    Raises:
        ValueError: in one line, for a tournament that fewer than two have voted in.
    """
    from components.preference.agreement import category_biases, kendalls_w, krippendorffs_alpha
    from components.preference.ratings import ratings_of
    from components.preference.standings import EQUAL_SHARES
    from components.preference.votes_log import read_log

    _check_name("name", name)
    folder = settings.home(settings.find_root(Path.cwd())) / "tournaments" / name
    logs = {file.parent.name: read_log(file) for file in sorted(folder.glob("*/votes.jsonl"))}
    logs = {annotator: votes for annotator, votes in logs.items() if votes}
    if len(logs) < 2:
        raise ValueError(f"{folder}: {len(logs)} annotators have voted; allowed: 2 or more of the same images")
    found = ratings_of(logs, ERROR_RATE, EQUAL_SHARES)
    of_images = [categories.get(image, "") for image in found.images]
    biases = category_biases(found.tiers, found.annotators, of_images) if categories else []
    return {
        "annotators": found.annotators,
        "num_images": len(found.images),
        "kendalls_w": kendalls_w(found.places),
        "krippendorffs_alpha": krippendorffs_alpha(found.tiers, "ordinal"),
        "biases": [asdict(bias) for bias in biases],
    }


def read_categories(file: Path) -> dict[str, str]:
    """The category of each image from a CSV file with the columns image and category; ValueError without them."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        if not {"image", "category"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{file}: columns {rows.fieldnames}; needed: image, category")
        return {row["image"]: row["category"] or "" for row in rows}


def serve(session: "Session", pictures: "dict[str, Picture]", host: str, port: int) -> "VotingServer":
    """The page's server, listening; `serve_forever` answers."""
    from components.preference.voting_server import VotingServer

    return VotingServer(host, port, session, pictures)


def outcome(session: "Session") -> dict[str, Any]:
    """How far the tournament is, whether the annotator agrees with herself, and once it is over the ranking."""
    from components.preference.standings import EQUAL_SHARES

    state = session.state()
    return {
        "phase": state.phase,
        "votes": state.num_done,
        "of": state.num_total,
        "reliability": asdict(session.reliability()),
        "ranking": session.ranking(ERROR_RATE, EQUAL_SHARES) if state.phase == "done" else [],
    }


def _check_name(what: str, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{what} is {value!r}; allowed: 1 to 80 letters, digits, '_', '.' and '-', no mark first")
