import hashlib
import json
from pathlib import Path

import pytest

from components.registry.hashes import canonical_json, directory_sha256, root_digest, verified_digest, write_hashes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "w.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text("card")
    return tmp_path


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1.0, "a": "é"}) == canonical_json({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()


def test_each_file_has_the_sha256_of_its_bytes(model: Path) -> None:
    assert directory_sha256(model) == {
        "README.md": hashlib.sha256(b"card").hexdigest(),
        "vae/w.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }


def test_the_digest_is_that_of_the_list_of_hashes(model: Path) -> None:
    digest = write_hashes(model)
    listed = json.loads((model / "hashes.json").read_text())
    assert digest == root_digest(listed) == hashlib.sha256((model / "hashes.json").read_bytes()).hexdigest()
    assert verified_digest(model) == digest
    assert write_hashes(model) == digest


@pytest.mark.parametrize("harm", ["change", "add", "remove"])
def test_any_harm_is_found_and_named(model: Path, harm: str) -> None:
    write_hashes(model)
    target = model / "vae" / ("w.safetensors" if harm != "add" else "extra.bin")
    if harm == "remove":
        target.unlink()
    else:
        target.write_bytes(b"other")
    with pytest.raises(ValueError, match=target.name):
        verified_digest(model)


def test_a_directory_without_hashes_is_refused(model: Path) -> None:
    with pytest.raises(ValueError, match=r"hashes\.json is missing"):
        verified_digest(model)


def test_links_are_refused(model: Path) -> None:
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="symbolic link"):
        directory_sha256(model)
