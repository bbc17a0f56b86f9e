"""Commands about the ledger's log: its signed head, whether it holds, and proofs to hand out."""

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import EXIT_MISTAKE, JSON, complain, fail, here, out, printable, remark

if TYPE_CHECKING:
    from components.lineage.log import InclusionProof
    from components.lineage.log_check import LogReport

lineage_app = typer.Typer(help="Where models and data came from, and what was made of them.", no_args_is_help=True)


@lineage_app.command()
def head(
    export: Annotated[Path | None, typer.Option(help="A file to write it to; keep it where others can see it.")] = None,
    tag: Annotated[bool, typer.Option("--tag", help="Name it by a git tag `ledger/SIZE`, to be pushed.")] = False,
    as_json: JSON = False,
) -> None:
    """Show the newest signed head of the ledger, and keep it in a second place.

    Examples: `easel lineage head` · `easel lineage head --export head.json` · `easel lineage head --tag`
    """
    from flows.lineage.head_exports import export_to_file, export_to_tag
    from flows.lineage.ledger import open_ledger

    root = here()
    found = open_ledger(root).head()
    if found is None:
        fail("the ledger is empty; `easel run` fills it")
    if export:
        export_to_file(found, export)
        remark(f"wrote {export}; `easel lineage check --against {export}` compares")
    if tag:
        name = export_to_tag(root, found)
        remark(f"tagged {name}; `git push origin {name}` brings it elsewhere")
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(mode="json"), indent=2) + "\n")
        return
    out.print(
        f"{found.size} entries, root {found.root}\nsigned {found.signed_at} with key {found.key_id}", soft_wrap=True
    )


@lineage_app.command()
def check(
    against: Annotated[str, typer.Option(help="A head that was kept elsewhere: a file, or a git tag.")] = "",
    key: Annotated[list[Path] | None, typer.Option(help="A public key in PEM to trust; may be given again.")] = None,
    as_json: JSON = False,
) -> None:
    """Check the whole ledger: signatures, order, records, sample sets; names the first thing that does not hold.

    Leaves with 1 if something does not, or nothing is there.

    Examples: `easel lineage check` · `easel lineage check --against head.json --key auditor-copy.pem` ·
    `easel lineage check --against ledger/000000000031 --json`
    """
    from components.lineage.log_check import examine_log
    from flows.lineage.head_exports import read_head
    from flows.lineage.ledger import open_store

    root = here()
    kept = read_head(root, against) if against else None
    store = open_store(root)
    report = examine_log(store, [_key(file) for file in key or ()], kept)
    if not (report.fault or report.size or report.remarks):
        fail(f"{store}: no ledger there; `easel run` begins one, and EASEL_LEDGER names another place")
    if as_json:
        sys.stdout.write(json.dumps({"holds": report.fault is None, **asdict(report)}, indent=2) + "\n")
    else:
        _show(report)
        if not key:
            _compare_own_key(root, report)
    if report.fault:
        raise typer.Exit(EXIT_MISTAKE)


@lineage_app.command()
def proof(
    what: Annotated[str, typer.Argument(help="A record's id; with --in an image: its file, SHA-256 or address.")] = "",
    within: Annotated[str, typer.Option("--in", help="A model, stage or record that the image may be in.")] = "",
    check: Annotated[
        Path | None, typer.Option(help="Check a proof that was written before instead, by itself alone.")
    ] = None,
    key: Annotated[list[Path] | None, typer.Option(help="For --check: a public key in PEM to trust.")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="The file to write the proof to.")] = None,
    as_json: JSON = False,
) -> None:
    """Print a proof that a record stands in the log; or that an image is, or is not, in what a model was trained on.

    Examples: `easel lineage proof 3fa81c` · `easel lineage proof photo.jpg --in turbo --out proof.json` ·
    `easel lineage proof --check proof.json --key auditor-copy.pem`
    """
    from flows.lineage import sample_commands

    if check and _is_about_a_record(check):
        _check_record_proof(check, [_key(one) for one in key or ()], as_json)
    elif check:
        sample_commands.check(check, [_key(one) for one in key or ()], as_json)
    elif within:
        sample_commands.prove(what, within, file, as_json)
    else:
        _prove_record(what, file)


def _prove_record(record: str, file: Path | None) -> None:
    from flows.lineage.ledger import open_ledger

    ledger = open_ledger(here())
    if Path(record).is_file() or (len(record) == 64 and record not in {one.record_id for one in ledger.entries()}):
        fail(f"{record}: no record of this id; of an image say what it may be in: --in turbo (a model, stage, record)")
    found = ledger.inclusion(ledger.find(record).id)
    text = json.dumps(found.model_dump(mode="json"), indent=2) + "\n"
    if not file:
        sys.stdout.write(text)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    remark(f"wrote {file}; `easel lineage proof --check {file} --key PUBLIC.pem` checks it anywhere")


def _is_about_a_record(file: Path) -> bool:
    """Whether the file holds what `_prove_record` writes; about other and wrong files somebody else complains."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and "entry" in value


def _check_record_proof(file: Path, trusted: list[bytes], as_json: bool) -> None:
    from pydantic import ValidationError

    from components.lineage.log import InclusionProof

    if not trusted:
        fail(f"{file}: whose word is it to be? give the public key of the ledger: --key PUBLIC.pem")
    try:
        found = InclusionProof.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"{file}: no proof about a record: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    holds = any(found.holds(one) for one in trusted)
    if as_json:
        _write_shown(found, holds)
    elif holds:
        entry = found.entry
        out.print(
            f"[green]holds[/]: record {entry.record_id} ({entry.kind} {printable(entry.subject)}) is entry "
            f"{entry.index} of {found.head.size}, appended {printable(entry.appended_at)}",
            soft_wrap=True,
        )
    else:
        index = found.entry.index
        complain(f"{file}: does not hold: entry {index} is not under a head signed with the key that was given")
    if not holds:
        raise typer.Exit(EXIT_MISTAKE)


def _write_shown(proof: "InclusionProof", holds: bool) -> None:
    entry, head = proof.entry, proof.head
    about = {"record": entry.record_id, "kind": entry.kind, "subject": entry.subject, "entry": entry.index}
    log = {"size": head.size, "root": head.root, "key_id": head.key_id, "signed_at": head.signed_at}
    told = {"holds": holds, **about, "appended_at": entry.appended_at, "log": log}
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _key(file: Path) -> bytes:
    from components.lineage.keys import canonical_pem

    try:
        return canonical_pem(file.read_bytes(), str(file))
    except OSError as error:
        fail(f"{file}: cannot be read as a public key: {error.strerror}")


def _compare_own_key(root: Path, report: "LogReport") -> None:
    """Say so if the key that signs here has signed nothing there: it may be a ledger that somebody else wrote anew."""
    from components.lineage.errors import LedgerError
    from flows.lineage.ledger import signer

    with suppress(LedgerError):
        own = signer(root).key_id
        if report.spans and own not in {span.key_id for span in report.spans}:
            remark(f"the key that this workspace signs with, {own}, has signed nothing in this ledger")


def _show(report: "LogReport") -> None:
    if report.fault:
        complain(str(report.fault))
        return
    for line in report.remarks:
        remark(line)
    if not report.size:
        out.print("nothing here is signed")
        return
    for span in report.spans:
        out.print(f"entries {span.first} to {span.last}: signed with key {printable(span.key_id)}", soft_wrap=True)
    out.print(f"[green]holds[/]: {report.size} entries, root {report.root}", soft_wrap=True)
