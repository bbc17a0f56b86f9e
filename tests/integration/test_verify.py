"""`easel verify`: a thousand single-byte changes, a hundred quiet checks, and the command itself."""

import json
import random
import shutil
from pathlib import Path

import pytest
from signed_workspace import SignedWorkspace, signed_workspace
from typer.testing import CliRunner

from components.lineage.chain import BrokenError
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.verify import Step, Subject
from flows.cli import app
from flows.lineage.verification import all_steps

NUM_CHANGES, NUM_UNTOUCHED = 1_000, 100


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SignedWorkspace:
    return signed_workspace(tmp_path_factory.mktemp("shared"))


def verify(place: SignedWorkspace, *, is_quick: bool = False) -> list[Step]:
    name, bundle = place.signature.relative_to(place.root).as_posix(), place.signature.read_bytes()
    return list(all_steps(Subject(place.folder, name, bundle, (), place.ledger, place.root, is_quick)))


def test_a_hundred_untouched_verifications_raise_no_alarm(shared: SignedWorkspace) -> None:
    for number in range(NUM_UNTOUCHED):
        assert len(verify(shared, is_quick=number % 2 == 0)) == 7


def test_every_one_of_a_thousand_changed_bytes_is_found_and_named(shared: SignedWorkspace) -> None:
    """One byte at a time: weights, signature, artifacts, raw images, shards, sets, folder lists, and the log itself."""
    rng = random.Random(11)
    files = [file for file in sorted(shared.root.rglob("*")) if file.is_file()]
    kinds = {file: file.relative_to(shared.root).as_posix() for file in files}
    missed = list[str]()
    for number in range(NUM_CHANGES):
        file = files[number % len(files)]
        data = file.read_bytes()
        at = rng.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        try:
            verify(shared)
            missed.append(f"{kinds[file]}, byte {at}: not found")
        except BrokenError as error:
            if not _names(error.fault.place, kinds[file]):
                missed.append(f"{kinds[file]}, byte {at}: named {error.fault.place}")
        finally:
            file.write_bytes(data)
    assert not missed, missed[:5]
    assert len(verify(shared)) == 7


def _names(place: str, file: str) -> bool:
    """Whether a fault's place is the changed file, be it by its path or by its name in the ledger."""
    return place.endswith(file) or file.endswith(place)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorkspace:
    """A workspace that commands take for a repository, and that is the present folder."""
    made = signed_workspace(tmp_path)
    (made.root / "flows").mkdir()
    (made.root / "flows/pipeline.py").write_bytes(b"")
    for name in ("EASEL_LEDGER", "EASEL_HOME", "EASEL_LEDGER_KEY", "EASEL_LEDGER_SIGNER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(made.root)
    return made


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *words])
    return result.exit_code, result.output


@pytest.mark.parametrize("model", ["turbo", "artifacts/export_turbo", "export_turbo", "./artifacts/export_turbo/"])
def test_the_command_walks_to_the_source_images(place: SignedWorkspace, model: str) -> None:
    code, told = run(model)
    assert code == 0, told
    assert told.count("✓") == 7
    assert "24 source images, all named by records" in told


def test_a_record_s_id_means_the_model_it_wrote(place: SignedWorkspace) -> None:
    code, told = run(place.records["export_turbo"].id[:12], "--json")
    assert code == 0, told
    found = json.loads(told)
    assert found["verified"] is True
    assert [step["name"] for step in found["steps"]][-1] == "images"


def test_the_command_names_what_does_not_hold(place: SignedWorkspace) -> None:
    weights = place.folder / "transformer/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    code, told = run("turbo")
    assert code == 1
    assert "✗" in told
    assert "export_turbo/transformer/model.safetensors" in told.replace("\n", "")
    code, told = run("turbo", "--json")
    assert (code, json.loads(told)["verified"]) == (1, False)
    assert json.loads(told)["fault"]["place"].endswith("transformer/model.safetensors")


def test_a_model_and_a_ledger_alone_are_verified_anywhere(
    place: SignedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an auditor has them: no workspace, no private key, the public key out of band."""
    away = tmp_path / "away"
    shutil.copytree(place.folder, away / "turbo")
    shutil.copy(place.signature, away / "turbo.model.sig")
    shutil.copytree(place.root / ".easel/ledger", away / "ledger")
    (away / "ledger.pub").write_bytes(place.signer.public_pem)
    shutil.rmtree(place.root)
    monkeypatch.chdir(away)
    code, told = run("turbo", "--ledger", "ledger", "--key", "ledger.pub")
    assert code == 0, told
    assert "24 source images, all named by records" in told
    assert "no longer here" in told


def test_a_ledger_that_two_keys_signed_one_after_another_holds_under_both(
    place: SignedWorkspace, tmp_path: Path
) -> None:
    """As after a lost key: the old one signed the model and what was before, the new one what came since."""
    other = make_key(tmp_path / "other.pem")
    record = place.records["export_turbo"].model_copy(update={"subject": "since", "inputs": (), "outputs": ()})
    Ledger(place.ledger.store, other).append(record)
    for name, pem in (("old", place.signer.public_pem), ("new", other.public_pem)):
        (tmp_path / name).write_bytes(pem)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    code, told = run("turbo", "--key", old)
    assert (code, "which is none of the trusted keys" in told.replace("\n", " ")) == (1, True), told
    for keys in ((old, new), (new, old)):
        code, told = run("turbo", "--key", keys[0], "--key", keys[1])
        assert code == 0, told


def test_a_model_whose_signature_is_gone_has_it_from_the_ledger(place: SignedWorkspace) -> None:
    from flows.lineage.model_signing import kept_signature

    name = kept_signature(place.records["export_turbo"].id)
    place.ledger.store.create(name, place.signature.read_bytes())
    place.signature.unlink()
    assert run("turbo")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("turbo", "--key", "nowhere.pem"), "cannot be read as a public key"),
        (("turbo", "--key", "flows/pipeline.py"), "no public key"),
        (("turbo", "--ledger", "nowhere"), "no ledger there"),
        (("artifacts/latents",), "no exported model"),
        (("encode",), "exports no model"),
        (("nothing-like-it",), "nothing-like-it"),
    ],
)
def test_a_person_s_mistake_is_told_in_one_line(place: SignedWorkspace, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        CliRunner().invoke(app, ["verify", *words], catch_exceptions=False)
    assert "\n" not in str(caught.value)


def test_nothing_recorded_is_told(place: SignedWorkspace, tmp_path: Path) -> None:
    shutil.rmtree(place.root / ".easel")
    place.signature.unlink()
    result = CliRunner().invoke(app, ["verify", "turbo"])
    assert isinstance(result.exception, ValueError)
    assert "not signed" in str(result.exception)
