"""Signatures of models, held against the OpenSSF library's own reading and writing of the format."""

import base64
import hashlib
import json
import shlex
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from model_signing import hashing, signing, verifying

from components.lineage.folder_digests import FolderError, folder_digests, folder_files, path_digest, tree_digest
from components.lineage.keys import Signer, load_signer, make_key
from components.lineage.model_signature import (
    SignatureError,
    check_model,
    key_hint,
    read_statement,
    sign_model,
    signature_file,
    signed_with,
)
from components.registry.hashes import path_sha256

BOUND = {"record": "ab" * 32, "data_roots": [], "evaluation": "cd" * 32, "fingerprint": "ef" * 32}
FILES = {"model_index.json": b"{}", "a-b.txt": b"1", "a/b.txt": b"2", "a/deep/c.bin": bytes(range(256)), "empty": b""}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "turbo"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key.pem")


@pytest.fixture
def public(tmp_path: Path, signer: Signer) -> Path:
    file = tmp_path / "key.pub"
    file.write_bytes(signer.public_pem)
    return file


def stock_check(folder: Path, signature: Path, public: Path) -> None:
    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(folder, signature)


def test_the_stock_library_verifies_ours_and_finds_one_changed_byte(model: Path, signer: Signer, public: Path) -> None:
    signature = signature_file(model)
    signature.write_bytes(sign_model(model, signer, BOUND))
    stock_check(model, signature, public)
    for name in ("a/deep/c.bin", "model_index.json"):
        data = bytearray(FILES[name])
        data[-1] ^= 1
        (model / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"Hash mismatch for '{name}'"):
            stock_check(model, signature, public)
        assert str(check_model(model, signature.read_bytes(), signer.public_pem)).startswith(str(model / name))
        (model / name).write_bytes(FILES[name])
    stock_check(model, signature, public)


def test_ours_verifies_the_stock_library_s_and_finds_one_changed_byte(
    model: Path, signer: Signer, tmp_path: Path
) -> None:
    signature = tmp_path / "turbo.sig"
    signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem").sign(model, signature)
    assert check_model(model, signature.read_bytes(), signer.public_pem) is None
    assert read_statement(signature.read_bytes(), signer.public_pem).easel is None
    (model / "a/b.txt").write_bytes(b"3")
    fault = check_model(model, signature.read_bytes(), signer.public_pem)
    assert fault
    assert fault.place == str(model / "a/b.txt")


def test_both_write_the_same_statement(model: Path, signer: Signer, tmp_path: Path) -> None:
    """Same order of files, same digest of the whole, same name of the key; only `easel` is ours alone."""
    signature = tmp_path / "turbo.sig"
    signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem").sign(model, signature)
    theirs, ours = json.loads(signature.read_bytes()), json.loads(sign_model(model, signer, BOUND))
    assert ours["verificationMaterial"] == theirs["verificationMaterial"]
    assert ours["mediaType"] == theirs["mediaType"]
    says, said = (json.loads(base64.b64decode(one["dsseEnvelope"]["payload"])) for one in (ours, theirs))
    assert says["predicate"].pop("easel") == BOUND
    for one in (says, said):
        one["predicate"]["serialization"]["ignore_paths"].sort()
    assert says["predicate"]["serialization"].pop("ignore_paths") == [".git", ".gitattributes", ".github", ".gitignore"]
    assert set(said["predicate"]["serialization"].pop("ignore_paths")) >= {".git", ".gitattributes", ".github"}
    assert says == said


def test_the_digest_of_the_whole_is_that_of_the_library_s_manifest(model: Path, signer: Signer) -> None:
    names = [one.identifier for one in hashing.hash(model).resource_descriptors()]
    assert names == folder_files(model) == [str(one) for one in sorted(map(PurePosixPath, FILES))]


def test_openssl_signs_and_its_key_verifies(model: Path, signer: Signer, public: Path, tmp_path: Path) -> None:
    command = shlex.join(["openssl", "dgst", "-sha256", "-sign", str(tmp_path / "key.pem")])
    outside = load_signer(command=command, public=public)
    signature = signature_file(model)
    signature.write_bytes(sign_model(model, outside, BOUND))
    stock_check(model, signature, public)
    assert check_model(model, signature.read_bytes(), signer.public_pem) is None


def test_the_signature_can_be_checked_with_openssl_alone(
    model: Path, signer: Signer, public: Path, tmp_path: Path
) -> None:
    """The bytes that are signed are DSSE's encoding, written out here by hand."""
    envelope = json.loads(sign_model(model, signer, BOUND))["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "signed").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json " + b"%d " % len(payload) + payload)
    (tmp_path / "der").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", tmp_path / "der", tmp_path / "signed"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "Verified OK"


def test_every_single_byte_of_a_signature_counts(model: Path, signer: Signer) -> None:
    bundle = sign_model(model, signer, BOUND)
    for place in range(0, len(bundle), 5):
        for change in (1, 32):  # another letter; its other case, or a blank
            changed = bytearray(bundle)
            changed[place] ^= change
            assert check_model(model, bytes(changed), signer.public_pem) is not None, place


@pytest.mark.parametrize("change", ["add", "remove", "rename", "link"])
def test_a_file_that_came_or_went_is_named(model: Path, signer: Signer, change: str) -> None:
    bundle = sign_model(model, signer, BOUND)
    match change:
        case "add":
            named = model / "a/more.bin"
            named.write_bytes(b"")
        case "remove":
            named = model / "empty"
            named.unlink()
        case "rename":
            named = (model / "a-b.txt").rename(model / "a-a.txt")
        case _:
            named = model / "a/link"
            named.symlink_to(model / "empty")
    fault = check_model(model, bundle, signer.public_pem)
    assert fault is not None
    assert str(named) in str(fault)


def test_files_of_a_checkout_are_left_out_and_said_to_be(model: Path, signer: Signer, public: Path) -> None:
    (model / ".gitattributes").write_bytes(b"* -text")
    signature = signature_file(model)
    signature.write_bytes(sign_model(model, signer, BOUND))
    assert ".gitattributes" in read_statement(signature.read_bytes(), signer.public_pem).ignored
    (model / ".gitattributes").write_bytes(b"")
    stock_check(model, signature, public)
    assert check_model(model, signature.read_bytes(), signer.public_pem) is None


def test_another_key_is_told_from_a_changed_signature(model: Path, signer: Signer, tmp_path: Path) -> None:
    bundle, other = sign_model(model, signer, BOUND), make_key(tmp_path / "other.pem")
    fault = check_model(model, bundle, other.public_pem)
    assert fault is not None
    assert key_hint(signer.public_pem)[:16] in fault.message
    assert signed_with(bundle) == hashlib.sha256(signer.public_pem).hexdigest()
    forged = bundle.replace(key_hint(signer.public_pem).encode(), key_hint(other.public_pem).encode())
    with pytest.raises(SignatureError, match="does not belong to what it says"):
        read_statement(forged, other.public_pem)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'"x"', b"\xff", b'{"dsseEnvelope": 1}', b"[" * 99_999])
def test_what_is_no_signature_is_told_in_one_line(data: bytes, signer: Signer) -> None:
    with pytest.raises(SignatureError, match="no signature of a model") as caught:
        read_statement(data, signer.public_pem)
    assert "\n" not in str(caught.value)


def test_nothing_is_signed_where_there_is_nothing(tmp_path: Path, signer: Signer) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(SignatureError, match="no files to sign"):
        sign_model(tmp_path / "none", signer, BOUND)
    with pytest.raises(FolderError, match="no such folder"):
        sign_model(tmp_path / "not there", signer, BOUND)


def test_a_folder_has_the_digest_that_the_registry_gives_it(model: Path) -> None:
    """The registry's own code walks and hashes by itself."""
    assert path_digest(model) == path_sha256(model)
    assert tree_digest(folder_digests(model)) == path_sha256(model)
    assert path_digest(model / "a/b.txt") == hashlib.sha256(b"2").hexdigest()
