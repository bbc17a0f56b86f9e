"""A takedown under way: what is asked for, what was found, and the note by which a killed one goes on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage import takedown
from components.lineage.canonical import digest
from flows import settings
from flows.data_objects import Held
from flows.lineage.ledger import open_ledger
from flows.lineage.stage_records import now
from flows.lineage.takedown_affected import affected, is_in_a_set, showing
from flows.lineage.takedown_bytes import Wanted
from flows.lineage.takedown_list import List, current_list
from flows.lineage.takedown_matches import Match, TakedownError, Wish, asked_id, find_matches
from flows.lineage.takedown_plan import Plan, plan
from flows.lineage.withdrawals import WITHDRAW

if TYPE_CHECKING:
    from components.lineage.log import Ledger


@dataclass(frozen=True)
class Order:
    """What is asked for: which images, why, by whom, and what shall become of models that saw them."""

    wish: Wish
    reason: str
    by: str
    policy: takedown.Policy = "retrain"

    @property
    def name(self) -> str:
        """What the takedown's files are called: the same wish has the same name."""
        return digest(asdict(self.wish) | {"value": asked_id(self.wish) or self.wish.value})[:16]


@dataclass
class Work:
    """A takedown under way. `note` is what the file `noted` holds: enough to continue after a kill."""

    root: Path
    order: Order
    held: Held
    ledger: "Ledger"
    known: List
    matches: list[Match]
    plan: Plan
    affected: takedown.Affected
    wanted: Wanted
    note: dict[str, Any] = field(default_factory=dict[str, Any])
    signed: takedown.Signed | None = None

    @property
    def noted(self) -> Path:
        """Where the note lies until the takedown is complete."""
        return noted_in(self.root, self.order)

    @property
    def receipt_file(self) -> Path:
        """Where the receipt lies once it is signed."""
        return folder(self.root) / f"{self.order.name}-{self.note['number']}.json"

    @property
    def was_seen(self) -> bool:
        """Whether any of the images was ever seen here."""
        return any(match.is_seen for match in self.matches)

    def salted(self) -> list[takedown.Match]:
        """The matches as receipt and records name them."""
        return [
            takedown.Match.model_validate(
                {"digest": self.known.salted(one.sample_id), "method": one.method, "distance": one.distance}
            )
            for one in sorted(self.matches, key=lambda one: one.sample_id)
        ]


def folder(root: Path) -> Path:
    """Where receipts lie, and the notes of takedowns that are not complete."""
    return settings.home(root) / "takedowns"


def begin(root: Path, order: Order, repository: Held) -> Work:
    """Look for what is asked for, and join it with what an earlier call, killed, had noted; changes no data."""
    ledger = open_ledger(root, to_write=True)
    known, matches = current_list(root), matches_of(root, order.wish, ledger)
    require_some(root, order.wish, matches)
    file = noted_in(root, order)
    note: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if note:
        matches = list({one.sample_id: one for one in [*matches, *(Match(**row) for row in note["matches"])]}.values())
        known = replace(known, held=replace(known.held, salt=note["salt"]))
    wanted = wanted_of(order.wish, matches)
    found = plan(repository, wanted, showing(ledger, wanted.ids))
    found = found.joined(note["plan"]) if note else found
    matches = seen_too(matches, wanted)
    told = takedown.Affected.model_validate(note["affected"]) if note else affected(root, ledger, wanted.ids, found)
    work = Work(root, order, repository, ledger, known, matches, found, told, wanted, note)
    work.note = {
        "matches": [asdict(one) for one in matches],
        "plan": asdict(found),
        "affected": told.model_dump(mode="json"),
        "salt": known.held.salt,
        "started_at": note.get("started_at") or now(),
        "reason": note.get("reason") or order.reason,
        "by": note.get("by") or order.by,
        # Who goes on with a killed takedown may ask for more than it did, and does not take back what it asked for.
        "policy": WITHDRAW if order.policy == WITHDRAW else note.get("policy") or order.policy,
        "withdrawn": note.get("withdrawn") or [],
        "number": note.get("number") or len(receipts_of(root, order)) + 1,
    }
    return work


def matches_of(root: Path, wish: Wish, ledger: "Ledger") -> list[Match]:
    """As `takedown_matches.find_matches`; what only the ledger's sample sets still know was seen too."""
    found = find_matches(root, wish)
    return [one if one.is_seen else replace(one, is_seen=is_in_a_set(ledger, one.sample_id)) for one in found]


def noted_in(root: Path, order: Order) -> Path:
    """Where the note of such a takedown lies until it is complete."""
    return folder(root) / f"{order.name}.pending.json"


def require_some(root: Path, wish: Wish, matches: Sequence[Match]) -> None:
    """Refuse a creator or a source that the data do not name, unless such a takedown was done or begun before.

    A digest or an address that nobody knows can be refused in future; a creator's name cannot.

    Raises:
        TakedownError: there is nothing to take down.
    """
    order = Order(wish, "", "")
    if matches or wish.method == "url" or noted_in(root, order).is_file() or receipts_of(root, order):
        return
    raise TakedownError(
        f"--{wish.method} {wish.value!r}: no image in data/ has this {wish.method}, so there is nothing to take down; "
        "compare the spelling, or name images by --file, --sha256 or --url"
    )


def wanted_of(wish: Wish, matches: Sequence[Match]) -> Wanted:
    """The images to look for; with the bytes of the one whose file was given, which other files may embed."""
    ids = frozenset(match.sample_id for match in matches)
    images = {matches[0].sample_id: Path(wish.value).read_bytes()} if wish.method == "file" else {}
    return Wanted(ids, {name: data for name, data in images.items() if hashlib.sha256(data).hexdigest() == name})


def seen_too(matches: Sequence[Match], wanted: Wanted) -> list[Match]:
    """The matches; what the search met in a file or a row was seen, though no table of raw images has it."""
    return [replace(one, is_seen=one.is_seen or one.sample_id in wanted.found) for one in matches]


def receipts_of(root: Path, order: Order) -> list[Path]:
    """The receipts of earlier takedowns of the same wish, oldest first."""
    found = {file: file.stem.removeprefix(f"{order.name}-") for file in folder(root).glob(f"{order.name}-*.json")}
    return sorted((file for file, number in found.items() if number.isdigit()), key=lambda file: int(found[file]))
