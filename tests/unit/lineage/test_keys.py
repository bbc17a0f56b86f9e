"""Keys: made once, never in a repository, and what they sign is what `openssl` says it is."""

import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.lineage.errors import LedgerError
from components.lineage.keys import canonical_pem, load_signer, make_key, verify_signature


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def test_openssl_verifies_what_a_key_signs(tmp_path):
    signer = make_key(tmp_path / "key.pem")
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    (tmp_path / "signature").write_bytes(signer.sign(b"words"))
    command = ("dgst", "-sha256", "-verify", tmp_path / "public.pem", "-signature", tmp_path / "signature")
    assert openssl(*command, data=b"words") == b"Verified OK\n"
    assert openssl("pkey", "-in", tmp_path / "key.pem", "-pubout") == signer.public_pem
    der = openssl("pkey", "-in", tmp_path / "key.pem", "-pubout", "-outform", "DER")
    assert openssl("dgst", "-sha256", "-r", data=der).split()[0].decode() == signer.key_id


def test_we_verify_what_openssl_signs_with_its_own_key(tmp_path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "theirs.pem")
    public = openssl("ec", "-in", tmp_path / "theirs.pem", "-pubout")
    signature = openssl("dgst", "-sha256", "-sign", tmp_path / "theirs.pem", data=b"words")
    assert verify_signature(public, b"words", signature)
    assert not verify_signature(public, b"word", signature)
    assert not verify_signature(public, b"words", signature[:-1])
    assert not verify_signature(b"no key", b"words", signature)
    assert load_signer(file=tmp_path / "theirs.pem").public_pem == canonical_pem(public, "")
    assert verify_signature(public, b"w", load_signer(pem=(tmp_path / "theirs.pem").read_text()).sign(b"w"))


def test_a_key_is_its_owners_alone_and_not_replaced(tmp_path):
    made = make_key(tmp_path / "deep" / "key.pem")
    assert (tmp_path / "deep" / "key.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(LedgerError, match=r"key\.pem: exists already and is not replaced"):
        make_key(tmp_path / "deep" / "key.pem")
    assert load_signer(file=tmp_path / "deep" / "key.pem").key_id == made.key_id


def test_no_key_is_made_in_a_repository(tmp_path):
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    with pytest.raises(LedgerError, match=r"lies in the git repository .*clone; keep keys elsewhere"):
        make_key(tmp_path / "clone" / "deep" / "key.pem")
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    with pytest.raises(LedgerError, match="lies in the git repository"):
        make_key(tmp_path / "link" / "key.pem")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "no elliptic-curve key on P-256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "no elliptic-curve key on P-256"),
        (None, "no unencrypted private key in PEM"),
    ],
)
def test_other_keys_are_refused_in_one_line(tmp_path, key, said):
    pem = b"hello"
    if key:
        pem = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(LedgerError, match=rf"key\.pem: {said}"):
        load_signer(file=tmp_path / "key.pem")


def test_a_lost_key_is_one_line(tmp_path):
    with pytest.raises(LedgerError, match="no key there; bring it back, or `easel keys init` makes a new one"):
        load_signer(file=tmp_path / "key.pem")
    with pytest.raises(LedgerError, match="no key is given; `easel keys init` makes one"):
        load_signer()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "the signing command 'false' failed: code 1"),
        ("ls /nowhere-at-all", "failed: .*No such file"),
        ("cat", "what the signing command 'cat' wrote is no signature"),
        ("/no/such/program", "cannot be run"),
        (" ", "the signing command is blank"),
        ("sign 'it", "the signing command .* cannot be read: No closing quotation"),
    ],
)
def test_a_command_that_does_not_sign_is_one_line(tmp_path, command, said):
    (tmp_path / "public.pem").write_bytes(make_key(tmp_path / "key.pem").public_pem)
    signer = load_signer(command=command, public=tmp_path / "public.pem")
    with pytest.raises(LedgerError, match=said):
        signer.sign(b"words")


def test_a_command_needs_its_public_key():
    with pytest.raises(LedgerError, match="needs the public key that it signs for"):
        load_signer(command="cat")
