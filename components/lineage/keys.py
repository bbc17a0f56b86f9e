"""Who signs the log: an ECDSA key on P-256 with SHA-256, in a file, in the environment, or behind a command.

Signatures are DER (FIPS 186-5; RFC 3279 section 2.2.3), keys are PEM (PKCS#8 and SubjectPublicKeyInfo), so that
`openssl` can check them. A key's id is the SHA-256 of its SubjectPublicKeyInfo. `cryptography` is imported late.
"""

import hashlib
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.lineage.errors import LedgerError
from components.lineage.store import create_file

_COMMAND_S = 60.0


class Signer(Protocol):
    """Something that signs for a public key."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER, in hex."""
        ...

    @property
    def public_pem(self) -> bytes:
        """The public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A DER signature of `data`."""
        ...


@dataclass(frozen=True)
class _KeySigner:
    private: Any
    public_pem: bytes
    key_id: str

    def sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return self.private.sign(data, ec.ECDSA(SHA256()))


@dataclass(frozen=True)
class _CommandSigner:
    command: str
    public_pem: bytes
    key_id: str

    def sign(self, data: bytes) -> bytes:
        try:
            program = shlex.split(self.command)
        except ValueError as error:
            raise LedgerError(f"the signing command {self.command!r} cannot be read: {error}") from None
        if not program:
            raise LedgerError("the signing command is blank; name a program that signs its standard input")
        try:
            done = subprocess.run(program, input=data, capture_output=True, timeout=_COMMAND_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LedgerError(f"the signing command {program[0]!r} cannot be run: {error}") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"code {done.returncode}"]
            raise LedgerError(f"the signing command {program[0]!r} failed: {lines[-1]}")
        if not verify_signature(self.public_pem, data, done.stdout):
            raise LedgerError(f"what the signing command {program[0]!r} wrote is no signature by {self.key_id[:16]}")
        return done.stdout


def make_key(file: Path) -> Signer:
    """A new key in a new file that only its owner may read.

    Raises:
        LedgerError: the file exists, or would lie in a git repository, where keys get published.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file = file.absolute()
    repository = next((one for one in file.resolve().parents if (one / ".git").exists()), None)
    if repository:
        raise LedgerError(f"{file}: lies in the git repository {repository}; keep keys elsewhere")
    private = ec.generate_private_key(ec.SECP256R1())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if file.exists() or not create_file(file, pem, mode=0o600):
        raise LedgerError(f"{file}: exists already and is not replaced; move it away or name another file")
    return _from_pem(pem, str(file))


def load_signer(
    *, file: Path | None = None, pem: str | None = None, command: str | None = None, public: Path | None = None
) -> Signer:
    """The signer that the first given of `command` (with `public`), `pem` and `file` names.

    Args:
        file: a PEM file.
        pem: the PEM text itself.
        command: gets the bytes on standard input and writes a DER signature: so tokens, HSMs and key services sign.
        public: the PEM of that command's public key.

    Raises:
        LedgerError: nothing is given, or it is no such key.
    """
    if command:
        if public is None:
            raise LedgerError("a signing command needs the public key that it signs for; name its PEM file")
        found = canonical_pem(_bytes_of(public), str(public))
        return _CommandSigner(command, found, key_id(found))
    if pem:
        return _from_pem(pem.encode(), "the key that was given as text")
    if file is None:
        raise LedgerError("no key is given; `easel keys init` makes one")
    return _from_pem(_bytes_of(file), str(file))


def verify_signature(public_pem: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `data` by that key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        _public(public_pem, "a public key").verify(signature, data, ec.ECDSA(SHA256()))
    except (InvalidSignature, LedgerError):
        return False
    return True


def key_id(public_pem: bytes) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo, in hex; LedgerError if it is no such key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = _public(public_pem, "a public key")
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def canonical_pem(public_pem: bytes, place: str) -> bytes:
    """The one PEM of that public key, without what other writers put around it."""
    return _public_pem(_public(public_pem, place))


def _from_pem(pem: bytes, place: str) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise LedgerError(f"{place}: no unencrypted private key in PEM; `easel keys init` makes one") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise LedgerError(f"{place}: no elliptic-curve key on P-256; `easel keys init` makes one")
    public = _public_pem(private.public_key())
    return _KeySigner(private, public, key_id(public))


def _public(pem: bytes, place: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise LedgerError(f"{place}: no public key in PEM") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise LedgerError(f"{place}: no elliptic-curve key on P-256")
    return public


def _public_pem(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise LedgerError(
            f"{file}: no key there; bring it back, or `easel keys init` makes a new one (earlier heads stay valid)"
        ) from None
    except OSError as error:
        raise LedgerError(f"{file}: cannot be read as a key: {error.strerror}") from None
