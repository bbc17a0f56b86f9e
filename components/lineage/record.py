"""What one executed stage, or one decision, left behind: the record that the log holds.

A record's id is the SHA-256 of its canonical JSON. Whatever differs between two writings of the same fact (position in
the log, time of appending, signature) stands in the log's entry, not here, so that appending twice changes nothing.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.lineage.canonical import CanonicalError, canonical, digest, parse

SCHEMA = "easel.record/1"
Kind = Literal["stage", "run", "accept", "promotion", "rollback", "takedown", "override"]
Sha256 = str


class RecordError(ValueError):
    """Bytes that are no record; one line says which field is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(_Part):
    """A file or folder that was read or written.

    Args:
        role: what it is to the stage (`images`, `latents`, ...).
        path: relative to the workspace, or an address.
        sha256: of the file's bytes; of a folder the digest of the canonical JSON `{relative path: SHA-256}`.
        size: bytes in all; `count`: files in it (1 for a file).
        dvc: DVC's own hash (`md5:...`), "" if DVC does not keep it.
        made_by: id of the record that made these bytes; "" for sources, and for what no record tells of.
        licences: images by licence, where the item is a table or set of images.
    """

    role: str
    path: str
    sha256: Sha256
    size: int
    count: int = 1
    dvc: str = ""
    made_by: str = ""
    licences: dict[str, int] = Field(default_factory=dict)


class SampleSet(_Part):
    """A set of samples by its Merkle root (`manifest.py`): its members lie in the ledger as `sets/ROOT`.

    Roles: `received` (raw images read), `kept` (after filters), `offered` (what a training could draw), `drawn` (what
    reached the weights), `held_out`, `generated` (drawn by a model of ours).
    """

    role: Literal["received", "kept", "offered", "drawn", "held_out", "generated"]
    root: Sha256
    count: int


class Consumed(_Part):
    """Positions start, ..., stop - 1 of the order that (manifest, seed, batch size) fix: what reached the weights."""

    manifest: str
    seed: int
    batch_size: int
    start: int
    stop: int


class Samples(_Part):
    """Which samples a stage saw.

    Args:
        sets: by role.
        dropped: samples dropped, by reason.
        opt_out: SHA-256 of the opt-out list in force; "" if there is none.
        consumed: ranges that a training drew; empty for other stages.
        derived: things made of the samples, counted by kind (captions, latents, pairs).
    """

    sets: tuple[SampleSet, ...] = ()
    dropped: dict[str, int] = Field(default_factory=dict)
    opt_out: str = ""
    consumed: tuple[Consumed, ...] = ()
    derived: dict[str, int] = Field(default_factory=dict)


class Check(_Part):
    """An expectation, gate or verification that was asked: what it said, and who waived it if it failed."""

    name: str
    is_passed: bool
    detail: str = ""
    suite: str = ""
    waived_by: str = ""


class Record(_Part):
    """One finished stage, or one decision about a model or data set.

    Args:
        schema_name: names this schema's version.
        kind: what happened.
        subject: the stage's name; for decisions the registered model's name; for a takedown "takedown".
        fingerprint: what the subject was made from (see `flows.freshness.fingerprint`); "" for decisions.
        attempt: counts up per fingerprint, from 1.
        parents: ids of the records that this one stands on.
        started_at, ended_at: UTC, ISO 8601 with milliseconds and `Z`.
        place: backend, host, hardware, world size; energy where it was counted.
        people: who asked, who approved, reason.
        code: repository, commit, tree digest, whether dirty, digest of the dirty patch, entry point, module digests.
        environment: digest of the lock file, Python, packages' digest, platform; the container image, if in one.
        parameters: the stage's block, floats as strings.
        inputs, outputs: what was read and written.
        samples: which images.
        checks: what was asked of it. measures: metric to decimal string.
        decision: alias before and after, version, result, takedown's receipt, ...
        systems: ids in the other tools: MLflow run, Prefect runs, build name.
        is_promotable: false when the code was dirty or the outputs were only observed, with the reason in `notes`.
        notes: remarks for people.
    """

    schema_name: Literal["easel.record/1"] = SCHEMA
    kind: Kind
    subject: str
    fingerprint: str = ""
    attempt: int = 1
    parents: tuple[str, ...] = ()
    started_at: str
    ended_at: str
    place: dict[str, Any] = Field(default_factory=dict)
    people: dict[str, Any] = Field(default_factory=dict)
    code: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[Item, ...] = ()
    outputs: tuple[Item, ...] = ()
    samples: Samples = Field(default_factory=Samples)
    checks: tuple[Check, ...] = ()
    measures: dict[str, str] = Field(default_factory=dict)
    decision: dict[str, Any] = Field(default_factory=dict)
    systems: dict[str, str] = Field(default_factory=dict)
    is_promotable: bool = True
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> Sha256:
        """SHA-256 of `data`, in hex."""
        return digest(self.model_dump(mode="json"))

    @property
    def data(self) -> bytes:
        """The canonical JSON: what the ledger stores."""
        return canonical(self.model_dump(mode="json"))

    def sample_set(self, role: str) -> SampleSet | None:
        """The set of that role, if the record names one."""
        return next((one for one in self.samples.sets if one.role == role), None)


def read_record(data: bytes) -> Record:
    """The record whose canonical JSON `data` is; RecordError says what is wrong with it."""
    try:
        found = Record.model_validate(parse(data))
        if found.data != data:  # it would have another id than its bytes have
            raise RecordError("not a record: says in other words (a default left out, a number as text) what one says")
        return found
    except CanonicalError as error:
        raise RecordError(f"not a record: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordError(f"not a record: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
