"""PKCS#11 URIs: what the RFC's own examples say, and one line for what is not meant here."""

from pathlib import Path

import pytest

from components.lineage.errors import LedgerError
from components.lineage.token_uri import TokenUri, parse_token_uri


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # RFC 7512, section 3, without what names slots and libraries.
        ("pkcs11:object=my-pubkey;type=private", TokenUri(label="my-pubkey")),
        (
            "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
            TokenUri(label="my-key", pin_file=Path("/etc/token")),
        ),
        (
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0"
            ";object=my-certificate;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
            TokenUri(
                token={
                    "token": "The Software PKCS#11 Softtoken",
                    "manufacturer": "Snake Oil, Inc.",
                    "model": "1.0",
                    "serial": "",
                },
                label="my-certificate",
                id=bytes.fromhex("69953e5cf4bdec91"),
                pin_file=Path("/etc/token_pin"),
            ),
        ),
        (
            "pkcs11:object=my-sign-key?module-path=/mnt/libmypkcs11.so.1&pin-value=the-pin",
            TokenUri(label="my-sign-key", module="/mnt/libmypkcs11.so.1", pin="the-pin"),
        ),
        (" PKCS11:object=%C3%A9+%3B%26?pin-value=%26%3D ", TokenUri(label="é+;&", pin="&=")),
        ("pkcs11:id=%00?pin-source=file:///run/pin", TokenUri(id=b"\0", pin_file=Path("/run/pin"))),
        ("pkcs11:id=a?pin-source=file://localhost/run/pin", TokenUri(id=b"a", pin_file=Path("/run/pin"))),
        ("pkcs11:id=a?pin-source=/run/pin", TokenUri(id=b"a", pin_file=Path("/run/pin"))),
    ],
)
def test_a_uri_means_what_the_rfc_says(text, meant):
    assert parse_token_uri(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pkcs12:object=a", "no PKCS#11 URI"),
        ("pkcs11:", "names no key; add object=NAME"),
        ("pkcs11:token=audit", "names no key; add object=NAME"),
        ("pkcs11:object=a;object=b", "gives object= twice"),
        ("pkcs11:object=a;slot-id=3", "not known here; known: token, serial, manufacturer, model, object, id, type"),
        ("pkcs11:object=a;type=cert", "names no private key"),
        ("pkcs11:object=a;pin-value=7351", "not known here"),
        ("pkcs11:object=a?module-name=x", "not known here; known: module-path, pin-source, pin-value"),
        ("pkcs11:object=a?pin-value=7351&pin-source=file:/x", "both pin-source= and pin-value="),
        ("pkcs11:object=a?pin-value=73&51", "not known here"),
        ("pkcs11:object=a?pin-value=73&7351=1", "not known here"),
        ("pkcs11:object=a?pin-source=|echo%207351", "no absolute file"),
        ("pkcs11:object=a?pin-source=file:7351", "no absolute file"),
        ("pkcs11:object=a?pin-source=file:", "no absolute file"),
    ],
)
def test_what_is_no_such_uri_is_one_line_without_the_pin(text, said):
    with pytest.raises(LedgerError, match=said) as caught:
        parse_token_uri(text)
    assert "7351" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pin_is_not_shown():
    assert "7351" not in repr(parse_token_uri("pkcs11:object=a?pin-value=7351"))
