"""Which key on which token: PKCS#11 URIs (RFC 7512), as far as a signing key needs them.

`pkcs11:token=audit;object=ledger?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/easel/pin`

No message repeats a value that may be the PIN.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from components.lineage.errors import LedgerError

SCHEME = "pkcs11:"
_TOKEN = ("token", "serial", "manufacturer", "model")
_OBJECT = ("object", "id", "type")
_QUERY = ("module-path", "pin-source", "pin-value")


@dataclass(frozen=True)
class TokenUri:
    """What a URI names.

    Args:
        token: what the token's label, serial, manufacturer and model must be, where the URI says so.
        label: of the key.
        id: of the key.
        module: the library that speaks to the token.
        pin_file: holds the PIN.
        pin: the PIN itself.
    """

    token: dict[str, str] = field(default_factory=dict[str, str])
    label: str | None = None
    id: bytes | None = None
    module: str | None = None
    pin_file: Path | None = None
    pin: str | None = field(default=None, repr=False)

    @property
    def token_name(self) -> str:
        """The token, in words."""
        return " ".join(("token", *(repr(value) for value in self.token.values())))

    @property
    def key_name(self) -> str:
        """The key, in words."""
        names = [repr(self.label)] if self.label is not None else []
        return " ".join(("key", *names, *([f"with id {self.id.hex()}"] if self.id is not None else [])))


def parse_token_uri(text: str) -> TokenUri:
    """What the URI `text` names.

    Raises:
        LedgerError: it is no such URI, names no token and no key, or has an attribute that is not known here.
    """
    text = text.strip()
    if text[: len(SCHEME)].lower() != SCHEME:
        raise LedgerError(f"no PKCS#11 URI; it begins with {SCHEME}")
    path, _, query = text[len(SCHEME) :].partition("?")
    found, asked = _attributes(path, ";", (*_TOKEN, *_OBJECT)), _attributes(query, "&", _QUERY)
    if not found.keys() & {"object", "id"}:
        raise LedgerError("the PKCS#11 URI names no key; add object=NAME or id=%HEX")
    if found.get("type", "private") != "private":
        raise LedgerError("the PKCS#11 URI names no private key; leave type= out")
    if {"pin-source", "pin-value"} <= asked.keys():
        raise LedgerError("the PKCS#11 URI gives both pin-source= and pin-value=; leave one out")
    return TokenUri(
        token={name: unquote(found[name]) for name in _TOKEN if name in found},
        label=unquote(found["object"]) if "object" in found else None,
        id=unquote_to_bytes(found["id"]) if "id" in found else None,
        module=unquote(asked["module-path"]) if "module-path" in asked else None,
        pin_file=_file(unquote(asked["pin-source"])) if "pin-source" in asked else None,
        pin=unquote(asked["pin-value"]) if "pin-value" in asked else None,
    )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found = dict[str, str]()
    for one in filter(None, text.split(separator)):
        name, equals, value = one.partition("=")
        if not equals or name not in known:
            raise LedgerError(f"the PKCS#11 URI has a part that is not known here; known: {', '.join(known)}")
        if name in found:
            raise LedgerError(f"the PKCS#11 URI gives {name}= twice; leave one out")
        found[name] = value
    return found


def _file(source: str) -> Path:
    """The file of a pin-source: a file URI, or a path."""
    name = source.removeprefix("file:").removeprefix("//localhost")
    file = Path("/" + name.lstrip("/") if name.startswith("//") else name)
    if not file.is_absolute():
        raise LedgerError("the PKCS#11 URI's pin-source= is no absolute file; give pin-source=file:/PATH/OF/FILE")
    return file
