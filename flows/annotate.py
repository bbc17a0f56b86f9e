"""Tournaments of images: the page on which a person votes, and what came of it.

What `easel annotate`, `easel agreement` and `easel votes` do. The logs lie in tournaments/NAME/ANNOTATOR of the
workspace's state: calibration.jsonl and votes.jsonl, which only grow.
"""

import csv
import json
import mimetypes
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import settings
from flows.reports import write_durably

if TYPE_CHECKING:
    from components.data.config import DecodeLimits
    from components.preference.calibration import CalibrationRules
    from components.preference.counted import Annotator
    from components.preference.gallery import Picture
    from components.preference.session import Session
    from components.preference.votes_log import LoggedVote
    from components.preference.voting_server import VotingServer

QUESTION = "Which of the two looks more pleasing?"
ERROR_RATE = 0.1
"""How often an annotator is thought to err when votes become places."""
MIN_ACCURACY, MIN_CONSISTENCY, MIN_SIDE_P = 0.8, 0.6, 0.001
REPEAT_FRAC, SHARED_FRAC = 0.05, 0.05
"""Shares: of a round's pairs that are shown again, and of the images that all annotators of a tournament see."""
_MAX_PIXELS, _MAX_BYTES, _MAX_RATIO = 64_000_000, 64_000_000, 1000.0
_NAME = re.compile(r"[^\W_][\w.-]{0,79}")


def open_session(
    images: Path,
    annotator: str,
    *,
    name: str,
    prompt: str,
    num_calibration: int,
    seed: int,
    among: Sequence[str] = (),
) -> "tuple[Session, dict[str, Picture], Path]":
    """The tournament of a folder's images as one annotator has left it, its pictures, and where its votes lie.

    With `among`, all who share the work, she gets her share of the images.

    Raises:
        ValueError: in one line, for images, names or votes that cannot be.
    """
    from components.preference.gallery import damaged_pairs, pictures_in
    from components.preference.json_rows import MAX_PROMPT_CHARACTERS
    from components.preference.session import Session, Tournament
    from components.preference.shares import share_of
    from components.preference.swiss import Plan

    name = name or images.resolve().name
    _check_name("name", name)
    _check_name("annotator", annotator)
    if not prompt.strip() or len(prompt) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"prompt of {len(prompt)} characters; allowed: 1 to {MAX_PROMPT_CHARACTERS}, not all blank")
    limits = _limits()
    pictures = pictures_in(images, limits)
    if among:
        pictures = {one: pictures[one] for one in share_of(list(pictures), among, annotator, SHARED_FRAC, seed)}
    shown, known = damaged_pairs(pictures, num_calibration, seed, limits)
    tournament = Tournament(
        name=name,
        prompt=prompt,
        plan=Plan(tuple(pictures), seed, REPEAT_FRAC),
        known=tuple(known),
        rules=rules(),
        annotator=annotator,
        versions={"easel": version("easel")},
    )
    folder = _folder(name) / annotator
    return Session(tournament, folder, time.time), pictures | shown, folder


def rules() -> "CalibrationRules":
    """What an annotator must show before and while she votes."""
    from components.preference.calibration import CalibrationRules

    return CalibrationRules(MIN_ACCURACY, MIN_CONSISTENCY, MIN_SIDE_P)


def who_voted(name: str) -> "dict[str, tuple[Annotator, list[LoggedVote]]]":
    """Everybody who voted in a tournament, by name: whether her votes count, and why not, and the votes.

    Raises:
        ValueError: in one line, for a tournament in which nobody did, or a log that is damaged.
    """
    from components.preference.counted import judged
    from components.preference.votes_log import read_log

    _check_name("name", name)
    folder, found = _folder(name), dict[str, Any]()
    for file in sorted(folder.glob("*/votes.jsonl")):
        test, votes = file.with_name("calibration.jsonl"), read_log(file)
        if votes:
            tested = read_log(test) if test.is_file() else []
            found[file.parent.name] = (judged(file.parent.name, tested, votes, rules()), votes)
    if not found:
        raise ValueError(f"{folder}: nobody has voted; `easel annotate IMAGES --name {name} --annotator WHO` starts")
    return found


def compared(name: str, categories: "dict[str, str]") -> dict[str, Any]:
    """How far the annotators of a tournament agree: Kendall's W of places, Krippendorff's alpha of tiers, biases.

    Only those whose votes count are compared, and W only where all of them share images. `categories` are those of the
    images, by sample id; without any there are no biases.

    Raises:
        ValueError: in one line, for a tournament in which the votes of fewer than two count.
    """
    import numpy as np

    from components.preference.agreement import category_biases, kendalls_w, krippendorffs_alpha
    from components.preference.ratings import ratings_of
    from components.preference.standings import EQUAL_SHARES

    voted = who_voted(name)
    left_out = {who: one.reasons for who, (one, _) in voted.items() if one.reasons}
    logs = {who: votes for who, (one, votes) in voted.items() if one.counts}
    if len(logs) < 2:
        raise ValueError(f"{name}: the votes of {len(logs)} annotators count; allowed: 2 or more{_why(left_out)}")
    found = ratings_of(logs, ERROR_RATE, EQUAL_SHARES)
    of_images = [categories.get(image, "") for image in found.images]
    biases = category_biases(found.tiers, found.annotators, of_images) if categories else []
    return {
        "annotators": found.annotators,
        "left_out": left_out,
        "num_images": len(found.images),
        "num_shared": int(((~np.isnan(found.tiers)).sum(axis=0) >= 2).sum()),
        "kendalls_w": kendalls_w(found.places),
        "krippendorffs_alpha": krippendorffs_alpha(found.tiers, "ordinal"),
        "biases": [asdict(bias) for bias in biases],
    }


def write_votes(name: str, output: Path, images: Path | None = None) -> dict[str, Any]:
    """Write the votes that count of all annotators, and say whose they are and whose were left out.

    One file, which `preferences.votes` reads for pairs; or with `images`, the folder that was voted on, a new folder
    that the stage `aes` reads for tiers: `images`, and ANNOTATOR/votes.jsonl.

    Raises:
        ValueError: in one line: nobody's votes count, images are not there, or it cannot be written there.
    """
    from components.preference.counted import settled_votes

    voted = who_voted(name)
    kept = {who: settled_votes(votes) for who, (one, votes) in voted.items() if one.counts}
    left_out = {who: one.reasons for who, (one, _) in voted.items() if one.reasons}
    if not kept:
        raise ValueError(f"{name}: nobody's votes count{_why(left_out)}")
    if not output.absolute().parent.is_dir():
        raise ValueError(f"{output.parent}: no such folder; make it, or write elsewhere")
    if images is None:
        write_durably(output, _lines(vote for votes in kept.values() for vote in votes))
    else:
        _write_folder(output, kept, images)
    counted = {who: len(votes) for who, votes in kept.items()}
    return {"written": str(output), "votes": sum(counted.values()), "annotators": counted, "left_out": left_out}


def _write_folder(output: Path, kept: "dict[str, list[LoggedVote]]", images: Path) -> None:
    from components.preference.gallery import pictures_in

    if output.exists():
        raise ValueError(f"{output}: is there already; name a new folder")
    pictures = pictures_in(images, _limits())
    voted_on = {image for votes in kept.values() for vote in votes for image in (vote.image_a, vote.image_b)}
    if absent := sorted(voted_on - pictures.keys()):
        raise ValueError(
            f"{images}: image {absent[0]}, which was voted on, is not there; name the folder that was shown"
        )
    (output / "images").mkdir(parents=True)
    for image in sorted(voted_on):
        suffix = mimetypes.guess_extension(pictures[image].media_type) or ""
        (output / "images" / f"{image}{suffix}").write_bytes(pictures[image].read())
    for who, votes in kept.items():
        (output / who).mkdir()
        write_durably(output / who / "votes.jsonl", _lines(votes))


def _lines(votes: "Iterable[LoggedVote]") -> str:
    return "".join(json.dumps(asdict(vote), ensure_ascii=False) + "\n" for vote in votes)


def _limits() -> "DecodeLimits":
    from components.data.config import DecodeLimits

    return DecodeLimits(_MAX_PIXELS, _MAX_BYTES, _MAX_RATIO)


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
    """How far the tournament is, whether the annotator's votes count, and once it is over the ranking."""
    from components.preference.standings import EQUAL_SHARES

    state, annotator = session.state(), session.annotator()
    return {
        "phase": state.phase,
        "votes": state.num_done,
        "of": state.num_total,
        "reliability": asdict(annotator.reliability),
        "does_not_count": state.reasons or annotator.reasons,
        "ranking": session.ranking(ERROR_RATE, EQUAL_SHARES) if state.phase == "done" else [],
    }


def _check_name(what: str, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{what} is {value!r}; allowed: 1 to 80 letters, digits, '_', '.' and '-', no mark first")


def _why(left_out: dict[str, list[str]]) -> str:
    told = "; ".join(f"{who} {reasons[0]}" for who, reasons in left_out.items())
    return f" ({told})" if told else ""


def _folder(name: str) -> Path:
    return settings.home(settings.find_root(Path.cwd())) / "tournaments" / name
