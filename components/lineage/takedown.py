"""The receipt of a takedown: what was asked, found and deleted, signed, and checkable without this platform's word.

A receipt names images only by salted digests, the ones that the opt-out list holds; whoever was given the salt and has
the image can find its line, and nobody else can tell from a receipt which image was meant. It is canonical JSON
(RFC 8785) with an ECDSA signature over these bytes and the public key that checks it.
"""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from components.lineage.canonical import CanonicalError, canonical, digest, parse
from components.lineage.keys import Signer, verify_signature

SCHEMA = "easel.takedown/1"
Method = Literal["file", "sha256", "url", "creator", "source"]
Policy = Literal["keep", "retrain", "withdraw"]


class ReceiptError(ValueError):
    """A receipt that is none, or that its signature does not fit; one line says which."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(_Part):
    """What was asked.

    Args:
        method: what the image was named by.
        value: salted digest of the name that was given.
        near: how many bits of the perceptual hash a near duplicate may differ in; None: no near duplicates.
        reason, by: why, and whose word it is.
        policy: what shall become of models that saw a match.
    """

    method: Method
    value: str
    near: int | None
    reason: str
    by: str
    policy: Policy


class Match(_Part):
    """One image that was taken down: its salted digest, how it was found, at which distance (0 for exact matches)."""

    digest: str
    method: Literal["file", "sha256", "url", "creator", "source", "near"]
    distance: int = 0


class Affected(_Part):
    """What stood on the matches.

    Args:
        shards: files with one. records: those about one, and what stands on these.
        datasets, runs: records of data with one, MLflow runs that drew one.
        models: `NAME:VERSION` of those with a training above their weights that drew a match or was offered it.
        offered_only: the models none of whose trainings drew any.
        aliases: `NAME:ALIAS` of the models that are live. derived: rows made from matches, by kind.
    """

    shards: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    offered_only: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    derived: dict[str, int] = Field(default_factory=dict)


class Deleted(_Part):
    """Files or objects that are gone, or were rewritten without the matches, from one place."""

    place: str
    kind: Literal["rewritten", "deleted"]
    names: tuple[str, ...]
    size: int


class Left(_Part):
    """Where copies may remain that this takedown does not reach, and what to do about them."""

    place: str
    why: str


class Receipt(_Part):
    """What a takedown did.

    Args:
        request: what was asked. requested: id of the record that was written before anything was deleted.
        was_seen: whether any image was found; if not, `proofs` holds proofs of that.
        opt_out: path and SHA-256 of the opt-out list that now names the matches.
        proofs: SHA-256 of the file of proofs beside the receipt; "" if there is none.
        withdrawn: `NAME:ALIAS` of the aliases that were taken from models; not written where there are none.
    """

    schema_name: Literal["easel.takedown/1"] = SCHEMA
    request: Request
    requested: str
    was_seen: bool
    matches: tuple[Match, ...]
    affected: Affected
    opt_out: dict[str, str]
    deleted: tuple[Deleted, ...]
    left: tuple[Left, ...]
    proofs: str = ""
    withdrawn: tuple[str, ...] = ()
    started_at: str
    completed_at: str

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was signed before there were withdrawals has the same bytes as ever."""
        return {name: value for name, value in write(self).items() if value or name != "withdrawn"}

    @property
    def data(self) -> bytes:
        """The canonical JSON: what is signed."""
        return canonical(self.model_dump(mode="json"))


class Signed(_Part):
    """A receipt with its signature."""

    receipt: Receipt
    key_id: str
    public_key: str
    signature: str

    @property
    def digest(self) -> str:
        """SHA-256 of the receipt alone, in hex: what records name it by."""
        return digest(self.receipt.model_dump(mode="json"))

    @property
    def data(self) -> bytes:
        """The canonical JSON: what is stored and handed out."""
        return canonical(self.model_dump(mode="json"))


def sign(receipt: Receipt, signer: Signer) -> Signed:
    """The receipt, signed."""
    return Signed(
        receipt=receipt,
        key_id=signer.key_id,
        public_key=signer.public_pem.decode(),
        signature=signer.sign(receipt.data).hex(),
    )


def read_signed(data: bytes, trusted_key: bytes | None = None) -> Signed:
    """The receipt in `data`, whose signature holds; with `trusted_key` (PEM) that key's, else that of its own key.

    Raises:
        ReceiptError: it is no receipt, it was changed, or another key signed it.
    """
    try:
        value: Any = parse(data)
        signed = Signed.model_validate(value)
    except CanonicalError as error:
        raise ReceiptError(f"not a receipt, or changed: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ReceiptError(f"not a receipt: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    try:
        signature = bytes.fromhex(signed.signature)
    except ValueError:
        raise ReceiptError("the signature is not hexadecimal: it was changed") from None
    if not _fits(signed.public_key.encode(), signed.receipt.data, signature):
        raise ReceiptError("the signature does not fit the receipt: one of them was changed")
    if trusted_key is not None and not _fits(trusted_key, signed.receipt.data, signature):
        raise ReceiptError(f"signed with the key {signed.key_id[:16]}, not with the one given")
    return signed


def _fits(key: bytes, data: bytes, signature: bytes) -> bool:
    try:
        return verify_signature(key, data, signature)
    except ValueError:  # no key at all
        return False
