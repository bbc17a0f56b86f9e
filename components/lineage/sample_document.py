"""A document which shows that a sample is, or is not, in what a model was trained on: checked with a public key alone.

It holds the record that is asked about, every record that this one names as what it stands on, directly or not, a proof
for each that it stands in the log under a signed head, and, for every sample set that matters, a proof about the
sample. Which sets matter follows from the records, so that none can be left out: all that the record itself names, and
what was offered and drawn in every training among those that it was made of. An evaluation beside a model read other
models too, and what these saw is none of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.lineage.chain import EVALUATION_ROLE
from components.lineage.errors import Fault, LedgerError
from components.lineage.graph import Graph
from components.lineage.keys import key_id
from components.lineage.log import Ledger
from components.lineage.log_files import key_name
from components.lineage.log_proofs import InclusionProof, is_signed
from components.lineage.manifest import ManifestError, SampleProof, check, first_fault, prove
from components.lineage.record import Record, SampleSet

SCHEMA = "easel.sample-proof/1"
TRAINED_ON = ("offered", "drawn")


class DocumentError(ValueError):
    """A document that is none, or that cannot be written; one line says why."""


class SetProof(BaseModel):
    """A proof about the sample in one set: of this record, in this role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: str
    role: str
    proof: dict[str, Any]


class SampleDocument(BaseModel):
    """What is handed out.

    Args:
        sample: SHA-256 of the image's bytes.
        reference: what the person asked about, in their words; `record`: the record that it meant.
        records: that one and what it stands on, oldest first; `log`: their places in the log, in the same order.
        sets: proofs, in the order of the records.
        public_key: the key that signed the log's head, in PEM; compare it with one that you trust.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["easel.sample-proof/1"] = SCHEMA
    sample: str
    reference: str
    record: str
    records: tuple[Record, ...]
    log: tuple[InclusionProof, ...]
    sets: tuple[SetProof, ...]
    public_key: str


@dataclass(frozen=True)
class Shown:
    """What a document shows, if `fault` is None: (stage, role, whether the sample is in that set) for each set.

    `key_id` is whose signature it was, `signed_at` and `size` are those of the log's head.
    """

    sample: str
    reference: str
    sets: tuple[tuple[str, str, bool], ...]
    key_id: str
    signed_at: str
    size: int
    fault: Fault | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether a training drew the sample."""
        return any(role == "drawn" and is_in for _, role, is_in in self.sets)

    @property
    def is_in_any(self) -> bool:
        """Whether any of the sets holds the sample."""
        return any(is_in for _, _, is_in in self.sets)


def write_document(ledger: Ledger, graph: Graph, record_id: str, sample_id: str, reference: str) -> SampleDocument:
    """The document about the sample and the record `record_id` of the log.

    Raises:
        DocumentError: no sample set is named by the record or a training that it stands on, or a record is missing.
        LedgerError: a sample set is not what its record says.
    """
    history = _named(graph, record_id)
    wanted = list(_sets_that_matter(history, record_id))
    if not wanted:
        raise DocumentError(f"{reference}: neither its record nor a training that it stands on names any samples")
    proofs = tuple(_prove(ledger, record, one, sample_id) for record, one in wanted)
    log = tuple(ledger.inclusion(record.id) for record in history)
    public = ledger.blob(key_name(log[0].head.key_id))
    if public is None:
        raise LedgerError(f"{key_name(log[0].head.key_id)}: missing; `easel lineage check` says more")
    return SampleDocument(
        sample=sample_id,
        reference=reference,
        record=record_id,
        records=tuple(history),
        log=log,
        sets=proofs,
        public_key=public.decode("ascii"),
    )


def read_document(data: bytes) -> SampleDocument:
    """The document that `data` is.

    Raises:
        DocumentError: it is none.
    """
    try:
        return SampleDocument.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise DocumentError(f"no proof about a sample: {where}: {first['msg']}") from None


def check_document(document: SampleDocument, trusted: Sequence[bytes] = ()) -> Shown:
    """What the document shows, or the first thing in it that does not hold; nothing else is asked.

    One of the `trusted` public keys (PEM) must have signed; without any, the document's own key is taken.
    """
    keys = [*trusted] or [document.public_key.encode()]
    sets, fault = list[tuple[str, str, bool]](), _log_fault(document, keys)
    records = {record.id: record for record in document.records}
    fault = fault or _history_fault(document, records)
    if fault is None:
        given = {(one.record, one.role): one.proof for one in document.sets}
        for record, one in _sets_that_matter(list(document.records), document.record):
            is_in, fault = _set_fault(document.sample, record, one, given.get((record.id, one.role)))
            if fault:
                break
            sets.append((record.subject, one.role, is_in))
    head = document.log[0].head if document.log else None
    about = (head.key_id, head.signed_at, head.size) if head else ("", "", 0)
    return Shown(document.sample, document.reference, tuple(sets), *about, fault)


def _named(graph: Graph, record_id: str) -> list[Record]:
    """The record and all that it stands on, oldest first."""
    history = [*graph.above(record_id), graph.record(record_id)]
    if missing := [one for record in history for one in graph.missing(record.id)]:
        raise DocumentError(f"record {missing[0][:16]} is named in the history and is not in the log before it")
    return history


def _parents(record: Record) -> set[str]:
    return {*record.parents, *(item.made_by for item in record.inputs if item.made_by)}


def _ingredients(records: Mapping[str, Record], record_id: str) -> set[str]:
    """Ids of what the record was made of, itself among them: all but what only its evaluation's report stands on."""
    found, edge = {record_id}, [record_id]
    while edge:
        record = records[edge.pop()]
        reports = {item.made_by for item in record.inputs if item.role == EVALUATION_ROLE}
        reports -= {item.made_by for item in record.inputs if item.role != EVALUATION_ROLE}
        more = (_parents(record) - reports) & records.keys() - found
        found |= more
        edge.extend(more)
    return found


def _sets_that_matter(history: Sequence[Record], record_id: str) -> Iterable[tuple[Record, SampleSet]]:
    ingredients = _ingredients({record.id: record for record in history}, record_id)
    for record in history:
        is_training = bool(record.samples.consumed) or record.sample_set("drawn") is not None
        is_training = is_training and record.id in ingredients
        for one in record.samples.sets:
            if record.id == record_id or (is_training and one.role in TRAINED_ON):
                yield record, one


def _prove(ledger: Ledger, record: Record, one: SampleSet, sample_id: str) -> SetProof:
    packed = ledger.sample_set(one.root)
    proof = prove(packed, sample_id)
    if not check(proof, one.root):
        fault = first_fault(packed, one.root)
        raise LedgerError(f"sets/{one.root}: not the {one.role} samples of {record.subject}: {fault}")
    return SetProof(record=record.id, role=one.role, proof=proof.to_json())


def _log_fault(document: SampleDocument, keys: Sequence[bytes]) -> Fault | None:
    """Whether every record stands in one log, under a head that one of the keys signed."""
    if not document.log or len(document.log) != len(document.records):
        return Fault("log", f"{len(document.log)} proofs of {len(document.records)} records' places in the log")
    if len({one.head.data for one in document.log}) != 1:
        return Fault("log", "the records stand under different heads; write the document anew")
    signer = next((one for one in keys if is_signed(document.log[0].head, one)), None)
    if signer is None:
        names = ", ".join(key_id(one)[:16] for one in keys)
        return Fault("head", f"signed by {document.log[0].head.key_id[:16]}, not by a key that is trusted ({names})")
    for record, place in zip(document.records, document.log, strict=True):
        if place.entry.record_id != record.id:
            return Fault(f"record {record.subject}", "its content is not that of the record in the log")
        if not place.holds(signer):
            return Fault(f"record {record.subject}", f"does not stand at place {place.entry.index} of the signed log")
    return None


def _history_fault(document: SampleDocument, records: dict[str, Record]) -> Fault | None:
    """Whether all is there that the record stands on: by its own word, and by that of what it names."""
    if document.record not in records:
        return Fault("records", f"the record that it is about ({document.record[:16]}) is not among them")
    found, edge = {document.record}, [document.record]
    while edge:
        named = {one for record in edge for one in _parents(records[record])}
        if lacking := sorted(named - records.keys()):
            return Fault("records", f"record {lacking[0][:16]}, which another stands on, is left out")
        edge = sorted(named - found)
        found |= named
    return None


def _set_fault(
    sample_id: str, record: Record, one: SampleSet, value: dict[str, Any] | None
) -> tuple[bool, Fault | None]:
    """Whether the sample is in the set, or what does not hold about the proof."""
    place = f"{record.subject}, {one.role}"
    if value is None:
        return False, Fault(place, "the proof about this set is left out")
    try:
        proof = SampleProof.from_json(value)
    except ManifestError as error:
        return False, Fault(place, str(error))
    if proof.sample_id != sample_id:
        return False, Fault(place, f"the proof is about another sample ({proof.sample_id[:16]})")
    if proof.size != one.count or not check(proof, one.root):
        return False, Fault(place, "the proof does not lead to the Merkle root in the record")
    return proof.is_member, None
