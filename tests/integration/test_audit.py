"""`easel audit` on a recorded workspace: written, checked, refused where a figure is wrong; readable on a phone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from audited import Audited, audited
from typer.testing import CliRunner, Result

from components.lineage.folder_digests import path_digest
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.record import Item, Record
from components.lineage.store import FolderStore
from flows.cli import app
from tests.integration.browser import CHROMIUM, opened

README = (
    "---\nlicense: x\n---\n# Turbo\n\n## Limitations\n\n- It draws icons.\n- Nothing else.\n\n## Files\n\nweights\n"
)
SAID = {"name": "Ann's <b>pictures</b>", "sources": {"meadow": {"kind": "public"}, "street": {"kind": "licensed"}}}

BROKEN_WORDS = """(() => {
  const broken = [];
  for (const head of document.querySelectorAll('th')) {
    const text = head.firstChild ?? new Text(''), range = document.createRange();
    for (const {0: word, index} of text.data.matchAll(/\\p{L}+/gu)) {
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (range.getClientRects().length > 1) broken.push(word);
    }
  }
  return broken;
})()"""
"""Words of a table's head that are broken over two lines."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audited:
    """A workspace whose catalogue and export are those that its signed ledger tells of."""
    root = tmp_path / "work"
    for folder in ("flows", "artifacts/tables", "artifacts/export_turbo"):
        (root / folder).mkdir(parents=True)
    (root / "flows" / "pipeline.py").touch()
    (root / "artifacts/export_turbo/README.md").write_text(README)
    found = audited(root / "artifacts/tables")
    export = _exported(found.record("export_turbo"), root)
    ledger = Ledger(FolderStore(tmp_path / "ledger"), make_key(tmp_path / "key.pem"))
    for record in [*found.records, export]:
        ledger.append(record, {f"sets/{one.root}": found.sets[one.root] for one in record.samples.sets})
    for name, value in {"EASEL_LEDGER": tmp_path / "ledger", "EASEL_HOME": tmp_path / "home"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("EASEL_PROVIDER", raising=False)
    monkeypatch.chdir(root)
    return found


def _exported(record: Record, root: Path) -> Record:
    """The record of the same export, with the digest of the folder that really lies there."""
    real = path_digest(root / "artifacts/export_turbo")
    outputs = tuple(Item.model_validate(item.model_dump() | {"sha256": real}) for item in record.outputs)
    return record.model_copy(update={"outputs": outputs, "attempt": 2})


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words])


def test_a_summary_is_written_checked_and_found_wrong(workspace: Audited, tmp_path: Path) -> None:
    file, said = tmp_path / "summary.json", tmp_path / "provider.yaml"
    said.write_text(yaml.safe_dump({"provider": SAID}))
    result = ask("summary", "turbo", "--format", "json", "--provider", str(said), "--out", str(file))
    assert result.exit_code == 0, result.exception
    assert re.search(r"\d+ figures, each as the ledger has it; \d+ fields are not stated", result.output)
    told: dict[str, Any] = json.loads(file.read_text())
    assert told["log"]["size"] == len(workspace.records) + 1
    assert "1.1 Provider name" not in told["missing"]
    assert "1.1 Contact details" in told["missing"]
    assert "It draws icons. Nothing else." in file.read_text()

    assert ask("check", str(file)).exit_code == 0
    assert json.loads(ask("check", str(file), "--json").stdout)["holds"] is True
    text = file.read_text()
    changed = re.sub(
        r'("value": )3(,\s+"rule": "is",\s+"links": \[\s+"record:\w+#/samples/dropped/too_small")', r"\g<1>4\2", text
    )
    assert changed != text
    file.write_text(changed)
    result = ask("check", str(file))
    assert result.exit_code != 0
    assert "says 4, but is at record:" in str(result.exception)


def test_nothing_is_written_from_a_forged_set(workspace: Audited, tmp_path: Path) -> None:
    root = workspace.record("sft").samples.sets[0].root
    file = tmp_path / "ledger" / "sets" / root
    file.chmod(0o600)
    file.write_bytes(bytes(32) + file.read_bytes()[32:])
    out = tmp_path / "summary.html"
    result = ask("summary", "turbo", "--out", str(out))
    assert "do not have this root" in str(result.exception)
    assert not out.exists()


def test_an_edited_catalogue_or_readme_is_not_quoted(workspace: Audited) -> None:
    (file,) = workspace.tables.values()
    file.write_bytes(file.read_bytes() + b" ")
    Path("artifacts/export_turbo/README.md").write_text(README.replace("icons", "everything"))
    result = ask("summary", "turbo", "--format", "markdown")
    assert result.exit_code == 0, result.exception
    assert "draws" not in result.stdout
    assert "is not in this workspace" in result.stdout
    assert "Meadow by ann" not in result.stdout


def test_what_there_is_not_is_said_in_one_line(workspace: Audited, tmp_path: Path) -> None:
    for words in (("turbine",), ("turbo", "--provider", str(tmp_path / "none.yaml"))):
        found = ask("summary", *words).exception
        assert isinstance(found, ValueError), found
        assert "\n" not in str(found)
    (tmp_path / "x.json").write_text("[]")
    assert "no audit summary" in str(ask("check", str(tmp_path / "x.json")).exception)
    (tmp_path / "x.json").write_text("{")
    assert "no JSON" in str(ask("check", str(tmp_path / "x.json")).exception)
    del workspace


def test_a_stage_or_a_record_can_be_asked_about(workspace: Audited) -> None:
    for word in ("sft", workspace.ids["sft"][:10]):
        result = ask("summary", word, "--format", "markdown")
        assert result.exit_code == 0, result.exception
        assert "distill" not in result.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_fits_a_phone_and_its_links_lead_to_rows(
    workspace: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, out = tmp_path / "provider.yaml", tmp_path / "summary.html"
    said.write_text(
        yaml.safe_dump({"provider": SAID | {"contact": '<img src=x onerror="document.title = 1">' + "unbroken" * 40}})
    )
    monkeypatch.setenv("EASEL_PROVIDER", str(said))
    assert ask("summary", "turbo", "--out", str(out)).exit_code == 0
    with opened(out.as_uri(), tmp_path / "profile") as page:
        page.wait("document.readyState === 'complete' && location.protocol === 'file:'")
        title = page.value("document.title")
        assert title.startswith("Training content")
        for width, scheme in ((400, "light"), (1280, "dark")):
            page.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert page.value("document.documentElement.scrollWidth") <= width
            assert page.value(BROKEN_WORDS) == []
        astray = "[...document.querySelectorAll('a')].filter(a => !document.getElementById(a.hash.slice(1))).length"
        assert page.value(astray) == 0
        assert page.value("document.querySelectorAll('a').length") > 100
        assert page.value("document.images.length + document.scripts.length") == 0
    del workspace
