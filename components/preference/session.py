"""One annotator in one tournament: what is asked next, and what becomes of an answer.

First comes the calibration, and only who passes it votes. Everything follows from two logs, so that a page may be
reloaded, opened twice, or end with its server at any moment: nothing that was answered is asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.data.errors import DataError
from components.preference.calibration import (
    CalibrationRules,
    Known,
    Verdict,
    calibrate,
    calibration_matches,
)
from components.preference.counted import Annotator, judged
from components.preference.standings import places, standings, tier_scores, tiers
from components.preference.swiss import Match, Plan, Played, num_comparisons, play
from components.preference.votes import Choice
from components.preference.votes_log import LoggedVote, VotesLog, last_choices

Phase = Literal["calibration", "refused", "tournament", "done"]


@dataclass(frozen=True)
class Tournament:
    """What is asked, about which images, and of whom. Without `known` pairs there is no calibration.

    `prompt` stands above the images, `versions` in every vote.
    """

    name: str
    prompt: str
    plan: Plan
    known: tuple[Known, ...]
    rules: CalibrationRules
    annotator: str
    versions: dict[str, str]


@dataclass(frozen=True)
class State:
    """What a page shows: `left` and `right` are images, "" when nothing is asked; `reasons` say why not.

    `vote_id` goes back with the answer; `next_images` will probably be asked soon.
    """

    phase: Phase
    prompt: str
    vote_id: str
    left: str
    right: str
    num_done: int
    num_total: int
    can_undo: bool
    next_images: list[str]
    reasons: list[str]


class Session:
    """The tournament as it stands in `folder`: calibration.jsonl and votes.jsonl. `clock` gives seconds since 1970.

    DataError in one line if another session has them open, or if they are of other images or another seed.
    """

    def __init__(self, tournament: Tournament, folder: Path, clock: Callable[[], float]) -> None:
        self._tournament = tournament
        self._clock = clock
        self._calibration = calibration_matches(tournament.known, tournament.plan.seed)
        self._reopened: Match | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._test = VotesLog(folder / "calibration.jsonl")
        try:
            self._votes = VotesLog(folder / "votes.jsonl")
        except BaseException:
            self._test.close()
            raise
        self._look()
        strange = self._strange()
        if strange:
            self.close()
            raise DataError(f"{folder}: vote {strange} is not of this tournament; name a new one, or bring its images")

    def state(self) -> State:
        """What to show now."""
        match, phase, plan = self._asked(), self._phase, self._tournament.plan
        is_test = phase in ("calibration", "refused")
        total = len(self._calibration) if is_test else num_comparisons(len(plan.images), plan.repeat_frac)
        ahead = [one for one in self._matches if one not in self._choices][:4]
        return State(
            phase=phase,
            prompt=self._tournament.prompt,
            vote_id=self._vote_id(match) if match else "",
            left=match.left if match else "",
            right=match.right if match else "",
            num_done=len(self._choices),
            num_total=len(self._choices) if phase == "done" else total,
            can_undo=self._before() is not None,
            next_images=[image for one in ahead for image in (one.left, one.right)],
            reasons=self.verdict().reasons if phase == "refused" else [],
        )

    def vote(self, vote_id: str, choice: Choice) -> bool:
        """Count the answer to the question that is asked now; False if `vote_id` was of another one.

        Whoever sends a vote twice, or from a page that is behind, changes nothing.
        """
        match, told = self._asked(), self._tournament
        if match is None or vote_id != self._vote_id(match):
            return False
        self._log.append(
            LoggedVote(
                vote_id=vote_id,
                tournament=told.name,
                round=match.round,
                number=match.number,
                is_repeat=match.is_repeat,
                prompt=told.prompt,
                image_a=match.left,
                image_b=match.right,
                choice=choice,
                annotator=told.annotator,
                time=self._clock(),
                versions=told.versions,
            )
        )
        self._reopened = None
        self._look()
        return True

    def undo(self) -> bool:
        """Ask the question before this one again; until it is answered its old answer stands.

        False where that cannot be: at the beginning, and where a later round was drawn by the answer and voted on.
        """
        before = self._before()
        if before:
            self._reopened = before
            self._phase = "tournament" if self._phase == "done" else self._phase
        return before is not None

    def verdict(self) -> Verdict:
        """Of the calibration, which must be finished."""
        return calibrate(last_choices(self._test.votes), self._tournament.known, self._tournament.rules)

    def annotator(self) -> Annotator:
        """What her votes so far say of her, and whether they count."""
        told = self._tournament
        return judged(told.annotator, self._test.votes, self._votes.votes, told.rules)

    def ranking(self, error_rate: float, shares: tuple[float, ...]) -> list[dict[str, Any]]:
        """A row for each image, best first: tier, score from 0 to 100, place in [0, 1], wins and opponents' wins."""
        images, played = self._tournament.plan.images, self._played
        place = places(images, played.results, error_rate)
        tier = tiers(place, shares)
        columns = zip(images, tier.tolist(), tier_scores(tier).tolist(), place.tolist(), strict=True)
        won = {one.image: one for one in standings(images, played.results)}
        rows = [
            {
                "image": image,
                "annotator": self._tournament.annotator,
                "tier": of_image,
                "score": score,
                "place": at,
                "wins": won[image].wins,
                "opponents_wins": won[image].opponents,
            }
            for image, of_image, score, at in columns
        ]
        return sorted(rows, key=lambda row: -row["place"])

    def close(self) -> None:
        """Let another session go on."""
        self._test.close()
        self._votes.close()

    def _look(self) -> None:
        """Take in what the logs say: `_phase`, and its `_log`, `_matches` and `_choices`."""
        self._played: Played = play(self._tournament.plan, last_choices(self._votes.votes).get)
        answers = last_choices(self._test.votes)
        self._phase: Phase = "done" if self._played.is_over else "tournament"
        self._log, self._matches, self._choices = self._votes, self._played.matches, last_choices(self._votes.votes)
        is_open = len(answers) < len(self._calibration)
        if is_open or (self._calibration and not self.verdict().has_passed):
            self._phase = "calibration" if is_open else "refused"
            self._log, self._matches, self._choices = self._test, self._calibration, answers

    def _asked(self) -> Match | None:
        if self._phase in ("refused", "done"):
            return None
        return self._reopened or next((match for match in self._matches if match not in self._choices), None)

    def _before(self) -> Match | None:
        """The answered match before the one asked, if no later round has been voted on."""
        answered = [match for match in self._matches if match in self._choices]
        place = answered.index(self._reopened) if self._reopened else len(answered)
        if self._phase == "refused" or not place or answered[place - 1].round != answered[-1].round:
            return None
        return answered[place - 1]

    def _vote_id(self, match: Match) -> str:
        """Who answers what for which time: the same wherever and however often it is asked."""
        times = sum(vote.match == match for vote in self._log.votes)
        told, part = self._tournament, "calibration" if self._log is self._test else "tournament"
        return "/".join([told.name, told.annotator, part, f"{match.round}", f"{match.number}", f"{times}"])

    def _strange(self) -> str:
        """The id of a vote on something that this tournament does not ask, or of somebody else."""
        told = self._tournament
        for log, matches in ((self._test, self._calibration), (self._votes, self._played.matches)):
            for vote in log.votes:
                if vote.match not in matches or (vote.tournament, vote.annotator) != (told.name, told.annotator):
                    return vote.vote_id
        return ""
