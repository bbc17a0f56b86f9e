"""`easel verify`: from a model's weights to its source images, offline."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated

import typer

from flows import settings
from flows.console import EXIT_MISTAKE, JSON, complain, out, printable, progress_bars

if TYPE_CHECKING:
    from components.lineage.errors import Fault
    from components.lineage.verify import Step, Subject

MAX_NOTES = 5
MB = 1_000_000


def verify(
    model: Annotated[str, typer.Argument(help="`turbo`, `turbo:3`, an alias, a folder, a stage, a record's id.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(help="A public key (PEM) that must have signed, may be given again; default: the ledger's."),
    ] = None,
    ledger: Annotated[str, typer.Option(help="A ledger's folder or s3:// address; default: the workspace's.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Read no file but the model's own.")] = False,
    as_json: JSON = False,
) -> None:
    """Walk from a model's weights to the source images, offline, and name the first thing that does not hold.

    Asks in turn: the signature over every file; the record it names, in the signed log; every input of every record,
    from its maker, up to the sources; the files that still lie here; the sample sets; the opt-out list; the images.
    Writes nothing. Leaves with 1 at the first thing that does not hold.

    Examples: `easel verify turbo` · `easel verify turbo:3 --key auditor/ledger.pub` ·
    `easel verify ~/downloads/turbo --ledger ~/downloads/ledger --quick` · `easel verify latest --json`
    """
    settings.go_quiet()
    from flows.lineage.verification import subject_of

    subject = subject_of(_root(), model, keys=key or (), place=ledger, is_quick=quick)
    with _shown_progress(subject, is_shown=not as_json and sys.stderr.isatty()):
        found, fault = _until_fault(subject)
    if as_json:
        told = {
            "model": model,
            "folder": str(subject.folder),
            "verified": fault is None,
            "steps": [{**asdict(step), "holds": True} for step in found],
            "fault": asdict(fault) if fault else None,
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        _show(found, fault)
    if fault:
        raise typer.Exit(EXIT_MISTAKE)


def _until_fault(subject: "Subject") -> "tuple[list[Step], Fault | None]":
    from components.lineage.chain import BrokenError
    from flows.lineage.verification import all_steps

    found = list["Step"]()
    try:
        for step in all_steps(subject):
            found.append(step)
    except BrokenError as error:
        return found, error.fault
    return found, None


def _show(found: "list[Step]", fault: "Fault | None") -> None:
    for step in found:
        out.print(f"[green]✓[/] {step.name:<10} {printable(step.found)}", soft_wrap=True)
        for note in step.notes[:MAX_NOTES]:
            out.print(f"  [dim]{'':<10} {printable(note)}[/]", soft_wrap=True)
        if len(step.notes) > MAX_NOTES:
            out.print(f"  [dim]{'':<10} and {len(step.notes) - MAX_NOTES} more; --json lists them[/]")
    if fault:
        out.print(f"[red]✗[/] {printable(fault.place)}", soft_wrap=True)
        complain(f"{fault.place}: {fault.message}")


def _root() -> Path:
    """The repository's root; outside of one, where the person is: a model and a ledger can be verified anywhere."""
    try:
        return settings.find_root(Path.cwd())
    except settings.SettingsError:
        return Path.cwd()


@contextmanager
def _shown_progress(subject: "Subject", *, is_shown: bool) -> Generator[None]:
    """A bar of the megabytes read, with the time left."""
    if not is_shown:
        yield
        return
    from components.lineage.verify import bytes_to_read

    with progress_bars() as advance:
        done = total = 0
        lock = Lock()  # files are read in several threads

        def tell(size: int) -> None:
            nonlocal done, total
            with lock:
                done += size
                total = total if done < total else max(done, bytes_to_read(subject))
                advance("reading, MB", done // MB, total // MB)

        subject.tell = tell
        yield
