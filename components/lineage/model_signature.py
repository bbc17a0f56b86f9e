"""Signatures of models: a file of SHA-256 digests, signed, that the OpenSSF tool `model_signing` reads as well.

The file is a Sigstore bundle (v0.3, JSON) around a DSSE envelope around an in-toto statement (v1) whose predicate,
`https://model_signing/signature/v1.0`, names every file with its SHA-256, ordered by the parts of the paths. The
statement's subject is the SHA-256 of these digests in a row. The signature is ECDSA P-256 over DSSE's
pre-authentication encoding; the key is named by the SHA-256 of its PEM. Ours also say where the model comes from, in a
member `easel` of the predicate, which other readers leave alone.

Sources: OpenSSF Model Signing v1.0; DSSE v1.0.0, protocol; in-toto Attestation Framework, Statement v1.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from components.lineage.canonical import canonical
from components.lineage.errors import Fault
from components.lineage.folder_digests import FolderError, Told, folder_digests
from components.lineage.keys import Signer, verify_signature

SUFFIX = ".model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
"""What the format leaves out unless told otherwise: these belong to a checkout, not to a model."""


class SignatureError(ValueError):
    """A signature that does not hold, or is none; one line says what is wrong with it."""


@dataclass(frozen=True)
class Statement:
    """What a signature says.

    Args:
        name: the model's folder when it was signed.
        files: SHA-256 by relative path.
        ignored: paths that were left out.
        easel: where the model comes from, if it is a signature of ours: record, data_roots, evaluation, fingerprint.
    """

    name: str
    files: Mapping[str, str]
    ignored: tuple[str, ...]
    easel: Mapping[str, Any] | None


def signature_file(folder: Path) -> Path:
    """Where the signature of the model in `folder` lies: beside it, since the folder holds nothing but the model."""
    folder = folder.absolute()
    return folder.with_name(folder.name + SUFFIX)


def sign_model(folder: Path, signer: Signer, bound: Mapping[str, Any], tell: Told | None = None) -> bytes:
    """The signature of the model in `folder`, bound to `bound` (canonical JSON): the bytes of the file to keep.

    Raises:
        FolderError: no such folder, or a symbolic link in it. SignatureError: no files in it.
    """
    files = folder_digests(folder, GIT_PATHS, tell)
    if not files:
        raise SignatureError(f"{folder}: no files to sign")
    predicate = {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": list(GIT_PATHS),
        },
        "resources": [{"name": name, "algorithm": "sha256", "digest": one} for name, one in files.items()],
        "easel": dict(bound),
    }
    payload = canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": folder.absolute().name, "digest": {"sha256": _subject_digest(files.values())}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )
    return _bundle(payload, signer.sign(_to_sign(payload)), key_hint(signer.public_pem))


def check_model(folder: Path, bundle: bytes, public_pem: bytes, tell: Told | None = None) -> Fault | None:
    """The first thing that is wrong with the model in `folder` or with its signature; None if nothing is."""
    try:
        statement = read_statement(bundle, public_pem)
    except SignatureError as error:
        return Fault("signature", str(error))
    try:
        return first_difference(folder, statement, folder_digests(folder, statement.ignored, tell))
    except FolderError as error:
        return Fault(str(folder), str(error))


def first_difference(folder: Path, statement: Statement, found: Mapping[str, str]) -> Fault | None:
    """The first file, by path, that is not the one signed, where `found` are the digests of the folder's files."""
    left_out = [PurePosixPath(one) for one in statement.ignored]
    there = {name for name in found if not any(PurePosixPath(name).is_relative_to(one) for one in left_out)}
    for name in sorted(statement.files.keys() | there):
        signed, now = statement.files.get(name, ""), found.get(name, "")
        if signed != now:
            told = f"signed with {signed or 'no such file'}, found {now or 'no such file'}"
            return Fault(str(folder / name), f"{told}; export the model again, or take it from where it came from")
    return None


def read_statement(bundle: bytes, public_pem: bytes) -> Statement:
    """What the signature in `bundle` says, once it is known to be made with the key `public_pem`.

    Raises:
        SignatureError: it is no such signature, or made with another key, or not over these bytes.
    """
    payload, signature, hint = _open(bundle)
    if hint and hint != key_hint(public_pem):
        raise SignatureError(f"signed with key {hint[:16]}, not with {key_hint(public_pem)[:16]}; give its public key")
    if not verify_signature(public_pem, _to_sign(payload), signature):
        raise SignatureError("its signature does not belong to what it says: one of them was changed")
    statement = _read_payload(payload)
    if statement.easel is not None and bundle != _bundle(payload, signature, hint):
        raise SignatureError("not written as it was signed: bytes around the statement were changed")
    return statement


def key_hint(public_pem: bytes) -> str:
    """The name of a public key in signatures: SHA-256 of its PEM, in hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    key = load_pem_public_key(public_pem)
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed_with(bundle: bytes) -> str:
    """The hint that a signature gives of its key, unchecked; "" if it gives none. SignatureError if it is none."""
    return _open(bundle)[2]


def _to_sign(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding.

    Source: DSSE v1.0.0, protocol, "Signature Definition".
    """
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _bundle(payload: bytes, signature: bytes, hint: str) -> bytes:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode("ascii")

    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": text(signature), "keyid": ""}],
            },
        }
    )


def _open(bundle: bytes) -> tuple[bytes, bytes, str]:
    """The payload, its signature, and the hint of the key."""
    try:
        found = json.loads(bundle)
        envelope = found["dsseEnvelope"]
        kinds = (found["mediaType"], envelope["payloadType"])
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        hint = str(found["verificationMaterial"]["publicKey"].get("hint") or "")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise SignatureError(f"no signature of a model (a Sigstore bundle in JSON): {_line(error)}") from None
    if kinds != (MEDIA_TYPE, PAYLOAD_TYPE):
        raise SignatureError(f"a bundle of kind {kinds}; known: {(MEDIA_TYPE, PAYLOAD_TYPE)}")
    return payload, signature, hint


def _read_payload(payload: bytes) -> Statement:
    try:
        found: Any = json.loads(payload)
        predicate = found["predicate"]
        if (found["_type"], found["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise SignatureError(f"says something else than {PREDICATE_TYPE}: {found['predicateType']}")
        how = predicate["serialization"]
        if (how["method"], how["hash_type"]) != ("files", "sha256"):
            raise SignatureError(f"files are named by {how['method']}, {how['hash_type']}; known: files, sha256")
        files = {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}
        if len(found["subject"]) != 1 or found["subject"][0]["digest"]["sha256"] != _subject_digest(files.values()):
            raise SignatureError("its digest of the whole model is not that of the files it names")
        ignored = tuple(map(str, cast(Sequence[Any], how.get("ignore_paths", ()))))
        bound: Any = predicate.get("easel")
        if not isinstance(bound, dict | None):
            raise SignatureError("binds the model to what is no object")
        return Statement(str(found["subject"][0]["name"]), files, ignored, cast(dict[str, Any] | None, bound))
    except SignatureError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise SignatureError(f"signed, but no statement about a model: {_line(error)}") from None


def _subject_digest(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(one) for one in digests)).hexdigest()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
