"""Tournaments of images: the page on which a person votes, and what came of it. What `easel annotate` does."""

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
    for what, value in (("name", name), ("annotator", annotator)):
        if not _NAME.fullmatch(value):
            raise ValueError(
                f"{what} {value!r}: allowed are 1 to 80 letters, digits, '_', '-' and '.', no '.' or '-' first"
            )
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
