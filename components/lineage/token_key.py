"""A key on a PKCS#11 token (a smart card, an HSM, a key service) signs; its private half never leaves the token.

A session lasts for one signature, so that neither a fork nor a token that was pulled out leaves a stale one behind.
Modules keep their state per process and are initialised here without locks of their own: one thread signs at a time,
no fork happens meanwhile, and a forked child initialises the module anew (PKCS#11 v2.40, section 5.4, C_Initialize).
One process asks at a time, too: SoftHSM empties a token's file before it writes it at each log-in, and whoever reads it
meanwhile takes the token for broken. A module that fails is initialised anew and asked once more: what another program
broke in this way, or a token that was put back, is seen then.

Sources: PKCS#11 Cryptographic Token Interface Base v2.40; Current Mechanisms v2.40, section 2.3 (ECDSA signatures are r
and s in a row; CKA_EC_POINT is a DER octet string). The library python-pkcs11 is optional, and imported late.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from components.lineage.errors import LedgerError
from components.lineage.keys import Signer, key_id, verify_signature
from components.lineage.token_uri import TokenUri, parse_token_uri

_P256 = bytes.fromhex("06082a8648ce3d030107")
"""CKA_EC_PARAMS of a key on P-256: its object identifier in DER (RFC 5480)."""
_WRAPPED = (67, 35)
"""Lengths of a point within an octet string; some tokens give the 65 or 33 bytes themselves."""

_lock = threading.RLock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_initialised_by = dict[str, int]()
_refused = set[tuple[str, str, str]]()
"""PINs that a token refused: a second try could be the one that locks it."""


class _NoSuchKeyError(LedgerError):
    """The token shows no such key."""


class _UnsteadyError(LedgerError):
    """The module failed, or shows no such token; it may do better when asked again."""


@dataclass(frozen=True)
class _Place:
    """A key on a token, and how to get there."""

    uri: TokenUri
    module: str
    given_pin: str | None = field(default=None, repr=False)

    def pin(self) -> str | None:
        """The PIN that the URI names, else the one given."""
        file = self.uri.pin_file
        if file is None:
            return self.uri.pin if self.uri.pin is not None else self.given_pin
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text"
            raise LedgerError(f"{file}: cannot be read as the token's PIN: {reason}") from None


@dataclass(frozen=True)
class _TokenSigner:
    place: _Place = field(repr=False)
    public_pem: bytes
    key_id: str

    def sign(self, data: bytes) -> bytes:
        return _ask(self.place, lambda session, pin: self._checked(session, pin, data), log_in=True)

    def _checked(self, session: Any, pin: Any, data: bytes) -> bytes:
        """The signature, once it is known to be one."""
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        key = _key(session, self.place.uri, "PRIVATE")
        raw = _signature(key, hashlib.sha256(data).digest(), pin, self.place.uri)
        half = len(raw) // 2
        der = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        if not verify_signature(self.public_pem, data, der):
            what = f"{self.place.uri.token_name}: what its {self.place.uri.key_name} signs"
            raise LedgerError(f"{what} does not verify with the public key of that name; name the pair by its id=")
        return der


def load_token_signer(uri: str, *, pin: str | None = None, module: str | None = None) -> Signer:
    """The signer that a PKCS#11 URI names.

    Args:
        uri: as RFC 7512 says; see `token_uri`.
        pin: of the token, where the URI gives none.
        module: the token's library, where the URI gives none.

    Raises:
        LedgerError: no such module, token or key; one line says which.
    """
    named = parse_token_uri(uri)
    path = named.module or module
    if not path:
        raise LedgerError(
            "which library speaks to the token? add module-path=FILE to the URI, or set PKCS11_MODULE_PATH"
        )
    place = _Place(named, str(Path(path).absolute()), pin or None)
    public = _public_pem(place)
    return _TokenSigner(place, public, key_id(public))


def _public_pem(place: _Place) -> bytes:
    """The public key, which most tokens show without a PIN."""

    def read(session: Any, pin: Any) -> bytes:
        del pin
        return _pem(_key(session, place.uri, "PUBLIC"), place.uri)

    try:
        return _ask(place, read, log_in=False)
    except _NoSuchKeyError:
        if place.pin() is None:
            raise
    return _ask(place, read, log_in=True)


def _key(session: Any, uri: TokenUri, half: str) -> Any:
    pkcs11 = _library()
    wanted: dict[Any, Any] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass[f"{half}_KEY"]}
    if uri.label is not None:
        wanted[pkcs11.Attribute.LABEL] = uri.label
    if uri.id is not None:
        wanted[pkcs11.Attribute.ID] = uri.id
    found = list(session.get_objects(wanted))
    if not found:
        raise _NoSuchKeyError(f"{uri.token_name}: no {half.lower()} {uri.key_name} on it; both halves must be there")
    if len(found) > 1:
        raise LedgerError(f"{uri.token_name}: {len(found)} times a {half.lower()} {uri.key_name}; name one by its id=")
    return found[0]


def _pem(key: Any, uri: TokenUri) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pkcs11 = _library()
    if key.key_type != pkcs11.KeyType.EC or bytes(key[pkcs11.Attribute.EC_PARAMS]) != _P256:
        raise LedgerError(f"{uri.token_name}: its {uri.key_name} is no elliptic-curve key on P-256")
    point = bytes(key[pkcs11.Attribute.EC_POINT])
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), point[2:] if len(point) in _WRAPPED else point
        )
    except ValueError:
        raise LedgerError(f"{uri.token_name}: its {uri.key_name} has no point of P-256") from None
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _signature(key: Any, digest: bytes, pin: Any, uri: TokenUri) -> bytes:
    """The two numbers of the signature in a row; some keys want the PIN for each one."""
    pkcs11 = _library()
    if not hasattr(key, "sign"):
        raise LedgerError(f"{uri.token_name}: its {uri.key_name} is not meant for signing; name one that is")
    asks_again = False
    with suppress(pkcs11.AttributeTypeInvalid):
        asks_again = bool(key[pkcs11.Attribute.ALWAYS_AUTHENTICATE])
    again = pin if asks_again and isinstance(pin, str) else None
    return bytes(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA, pin=again))


def _ask(place: _Place, question: Callable[[Any, Any], bytes], *, log_in: bool) -> bytes:
    """What `question` answers to a session on the token and the PIN that it was opened with, if any."""
    with _lock, _alone(place.module):
        with suppress(_UnsteadyError):
            return _ask_once(place, question, log_in)
        with suppress(_library().PKCS11Error):  # it may be down already
            _module(place.module).finalize()
        return _ask_once(place, question, log_in)


@contextmanager
def _alone(module: str) -> Generator[None]:
    """Inside the block no other process of ours speaks to the module, whose file itself is the lock."""
    try:
        descriptor = os.open(module, os.O_RDONLY)
    except OSError as error:
        where = "correct module-path= of the URI, or PKCS11_MODULE_PATH"
        raise LedgerError(f"{module}: no PKCS#11 module there ({error.strerror}); {where}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ask_once(place: _Place, question: Callable[[Any, Any], bytes], log_in: bool) -> bytes:
    pkcs11 = _library()
    name, pin, module = place.uri.token_name, None, _module(place.module)
    try:
        token = _token(module, place.uri)
        pin = _pin(token, place) if log_in else None
        with token.open(user_pin=pin) as session:
            return question(session, pin)
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        _refused.add((place.module, name, str(pin)))
        raise LedgerError(f"{name}: the PIN is wrong; correct it before the token locks itself") from None
    except pkcs11.PinLocked:
        raise LedgerError(f"{name}: its PIN is locked; unlock it with the token's own tool") from None
    except pkcs11.PKCS11Error as error:
        raise _UnsteadyError(f"{name}: failed ({type(error).__name__}); was it removed, or changed?") from None


def _token(module: Any, uri: TokenUri) -> Any:
    pkcs11 = _library()
    found = list[Any]()
    for slot in module.get_slots(token_present=True):
        with suppress(pkcs11.PKCS11Error):  # a reader whose card was just pulled out is no reason to fail
            one = slot.get_token()
            facts = {"token": one.label, "serial": one.serial.decode(errors="replace").rstrip("\0 ")}
            facts |= {"manufacturer": one.manufacturer_id, "model": one.model}
            if one.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED and uri.token.items() <= facts.items():
                found.append(one)
    if not found:
        raise _UnsteadyError(
            f"{uri.token_name}: no such token in this module; is it plugged in, and is its name right?"
        )
    if len(found) > 1:
        raise LedgerError(f"{uri.token_name}: {len(found)} such tokens; name one by its serial=")
    return found[0]


def _pin(token: Any, place: _Place) -> Any:
    """What to log in with: the PIN, or the token's own pad; None for a token that asks for none."""
    pkcs11 = _library()
    if not token.flags & pkcs11.TokenFlag.LOGIN_REQUIRED:
        return None
    pin = place.pin()
    name = place.uri.token_name
    if pin is None:
        if token.flags & pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH:
            return pkcs11.types.PROTECTED_AUTH
        raise LedgerError(f"{name}: asks for a PIN; add pin-source=file:/PATH to the URI, or set EASEL_LEDGER_PIN")
    if not pin.isprintable():  # as bytes from the environment that are no text, which an error would repeat
        raise LedgerError(f"{name}: the PIN is no line of text; correct it")
    if (place.module, name, pin) in _refused:
        raise LedgerError(f"{name}: refused this PIN before and is not asked again; correct it and start anew")
    return pin


def _module(path: str) -> Any:
    """The token's library, initialised by this very process."""
    pkcs11 = _library()
    try:
        module: Any = pkcs11.lib(path)
        if _initialised_by.setdefault(path, os.getpid()) != os.getpid():
            with suppress(pkcs11.PKCS11Error):  # some have noticed the fork themselves
                module.finalize()
            module.initialize()
            _initialised_by[path] = os.getpid()
    except pkcs11.PKCS11Error as error:
        reason = str(error).removeprefix(f"OS exception while loading {path}: ") or type(error).__name__
        raise LedgerError(f"{path}: cannot be used as a PKCS#11 module: {reason}") from None
    return module


def _library() -> ModuleType:
    try:
        import pkcs11
    except ImportError as error:
        needs = "a key on a token needs the package python-pkcs11"
        raise LedgerError(f"{needs}, which is not here ({error}); pip install 'easel[pkcs11]'") from None
    return pkcs11
