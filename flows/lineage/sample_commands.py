"""Commands about one image: which models saw it, and proofs of that. Heavy libraries are imported inside them."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from flows.console import EXIT_MISTAKE, JSON, complain, fail, here, out, printable, remark

if TYPE_CHECKING:
    from components.lineage.sample_document import Shown
    from flows.lineage.sample_names import Near
    from flows.lineage.samples_seen import Answers, Seen

_SHORT = 12


def sample(
    image: Annotated[str, typer.Argument(help="An image file, its SHA-256, or its address at the source.")],
    near: Annotated[
        int | None, typer.Option(help="Also samples that look like it, within so many of 64 bits (6 is close).")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Show which data sets, runs, models and live aliases saw an image, and whether it was drawn in training.

    Examples: `easel lineage sample photo.jpg` · `easel lineage sample photo.jpg --near 6` ·
    `easel lineage sample https://example.org/photo.jpg --json`
    """
    from components.lineage.index import Index
    from flows.lineage.ledger import index_file, open_ledger
    from flows.lineage.sample_names import facts_of, find_sample, near_samples
    from flows.lineage.samples_seen import Answers, registered

    root = here()
    asked = find_sample(root, image)
    alike = near_samples(root, asked, image, near) if near is not None else []
    index = Index(open_ledger(root), index_file(root))
    if not index.num_samples:
        fail(
            "the ledger names no samples yet; `easel run` fills it, or `easel lineage record` from what was run before"
        )
    answers = Answers(root, index)
    found = [answers.seen(one) for one in (asked, *(one.sample_id for one in alike))]
    found = registered(root, found, answers.graph)
    facts = facts_of(root, [one.sample_id for one in found])
    if as_json:
        _write_json({"asked": image, **_told(found[0], facts), "near": _near_told(alike, found[1:], facts)})
        return
    _show(answers, found[0], facts, index.num_samples)
    if near is not None:
        _show_near(alike, found[1:], near)
    if found[0].unanswered:
        remark(found[0].unanswered)


def prove(image: str, reference: str, file: Path | None, as_json: bool) -> None:
    """Write a proof about an image and what `reference` means: to a file, or to standard output."""
    from components.lineage.sample_document import check_document
    from flows.lineage.sample_proofs import document_text, prove_sample

    document = prove_sample(here(), image, reference)
    if file is None:
        sys.stdout.write(document_text(document))
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document_text(document), encoding="utf-8")
    _show_shown(check_document(document), is_own_key=False, as_json=as_json)
    remark(f"wrote {file}; `easel lineage proof --check {file} --key PUBLIC.pem` checks it anywhere")


def check(file: Path, trusted: Sequence[bytes], as_json: bool) -> None:
    """Check such a proof by itself; leaves with 1 if it does not hold."""
    from flows.lineage.sample_proofs import check_file

    shown = check_file(file, trusted)
    _show_shown(shown, is_own_key=not trusted, as_json=as_json)
    if shown.fault:
        raise typer.Exit(EXIT_MISTAKE)


def _told(seen: "Seen", facts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    from flows.lineage.samples_seen import facts_json

    return {**facts_json(seen), "facts": dict(facts.get(seen.sample_id, {}))}


def _near_told(alike: "Sequence[Near]", seen: "Sequence[Seen]", facts: Mapping[str, Mapping[str, str]]) -> list[Any]:
    return [asdict(one) | _told(found, facts) for one, found in zip(alike, seen, strict=True)]


def _show(answers: "Answers", seen: "Seen", facts: Mapping[str, Mapping[str, str]], num_samples: int) -> None:
    known = facts.get(seen.sample_id, {})
    told = " · ".join(known[name] for name in ("source_id", "title_en", "licence") if name in known)
    out.print(f"sample {seen.sample_id}{f'  ({printable(told)})' if told else ''}", soft_wrap=True)
    if not seen.sightings:
        out.print(f"[green]never seen[/]: none of the {num_samples:,} samples in the ledger has these bytes")
        remark("the same picture in other bytes is another sample: --near 6 finds it")
        remark(f"`easel lineage proof {seen.sample_id} --in turbo` proves that the model was not trained on it")
        return
    out.print(_verdict(seen), soft_wrap=True)
    _print("data sets and runs that it is in", _sets_table(seen))
    _print("where it was dropped", _dropped_table(seen))
    _print("trainings that could draw it", _trainings_table(seen))
    _print("checkpoints and models made of those", _models_table(seen))
    _print("registered versions and their live aliases", _versions_table(seen))
    _print("decisions about those models", _decisions_table(answers, seen))


def _verdict(seen: "Seen") -> str:
    if seen.drawn_by:
        return f"[red]drawn in training[/]: {printable(', '.join(seen.drawn_by))}"
    if offered := [one.stage for one in seen.trainings]:
        return f"[yellow]offered, never drawn[/]: {printable(', '.join(dict.fromkeys(offered)))}"
    roles = {one.role for one in seen.sightings}
    if "held_out" in roles:
        return "[green]held out[/]: no training could draw it"
    why = next((f" ({printable(one.reason)})" for one in seen.dropped if one.reason), "")
    return f"[green]dropped{why}[/]: no training could draw it" if seen.dropped else "[green]in no training[/]"


def _print(title: str, table: Table | None) -> None:
    if table is not None and table.row_count:
        out.print(f"\n[bold]{title}[/]")
        out.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", min_width=30 if column == "path" else None)
    return table


def _sets_table(seen: "Seen") -> Table:
    table = _table("stage", "as", "when", "record")
    roles = dict[str, list[str]]()
    for one in seen.sightings:
        roles.setdefault(one.record, []).append(one.role)
    told = {one.record: one for one in seen.sightings}
    for record, held in roles.items():
        row = (told[record].subject, ", ".join(held), told[record].at, record[:_SHORT])
        table.add_row(*map(printable, row))
    return table


def _dropped_table(seen: "Seen") -> Table:
    table = _table("stage", "why", "record")
    for one in seen.dropped:
        table.add_row(printable(one.subject), printable(one.reason or "not told any more"), one.record[:_SHORT])
    return table


def _trainings_table(seen: "Seen") -> Table:
    table = _table("stage", "", "record", "MLflow run")
    for one in seen.trainings:
        drawn = f"[red]drawn{'' if one.is_exact else ' *'}[/]" if one.is_drawn else "[yellow]offered only[/]"
        table.add_row(printable(one.stage), drawn, one.record[:_SHORT], printable(one.run))
    if not all(one.is_exact for one in seen.trainings):
        table.caption, table.caption_justify = "* all that was offered counts as drawn", "left"
    return table


def _models_table(seen: "Seen") -> Table:
    table = _table("path", "saw it through", "record")
    for one in seen.models:
        offered = [f"{stage} (offered only)" for stage in one.offered_by if stage not in one.drawn_by]
        table.add_row(printable(one.path), printable(", ".join([*one.drawn_by, *offered])), one.record[:_SHORT])
    return table


def _versions_table(seen: "Seen") -> Table | None:
    table = _table("model", "version", "aliases", "drawn by")
    for one in seen.versions or ():
        names = (one.name, one.number, ", ".join(one.aliases), ", ".join(one.drawn_by))
        table.add_row(*map(printable, names))
    return table


def _decisions_table(answers: "Answers", seen: "Seen") -> Table:
    table = _table("what", "of", "when", "said", "record")
    for record_id in seen.decisions:
        record = answers.graph.record(record_id)
        said = ", ".join(f"{name} {value}" for name, value in record.decision.items() if isinstance(value, str | int))
        table.add_row(*map(printable, (record.kind, record.subject, record.ended_at, said)), record_id[:_SHORT])
    return table


def _show_near(alike: "Sequence[Near]", seen: "Sequence[Seen]", near: int) -> None:
    if not alike:
        out.print(f"\nno other sample lies within {near} of 64 bits of its look")
        return
    out.print("\n[bold]samples that look like it[/], by bits apart")
    for one, found in zip(alike, seen, strict=True):
        verdict = _verdict(found) if found.sightings else "[green]never seen[/]"
        out.print(f"{one.distance:>2}  {one.sample_id}  {printable(one.source_id)}  {verdict}", soft_wrap=True)


def _show_shown(shown: "Shown", *, is_own_key: bool, as_json: bool) -> None:
    from flows.lineage.sample_proofs import shown_json

    if as_json:
        _write_json(shown_json(shown))
        return
    if shown.fault:
        complain(f"does not hold: {shown.fault}")
        return
    table = _table("stage", "samples", "")
    for stage, role, is_in in shown.sets:
        table.add_row(printable(stage), role, "[red]in it[/]" if is_in else "[green]not in it[/]")
    out.print(table)
    drawn = [stage for stage, role, is_in in shown.sets if role == "drawn" and is_in]
    answer = "is in some of them" if shown.is_in_any else "is not in any of them"
    answer = f"was drawn by {', '.join(drawn)}" if drawn else answer
    out.print(f"proven of {printable(shown.reference)}: sample {shown.sample} {printable(answer)}", soft_wrap=True)
    out.print(f"by the log of {shown.size} entries, signed {shown.signed_at} with key {shown.key_id}", soft_wrap=True)
    if is_own_key:
        remark("that is the key in the proof itself: compare it, or give the one that you trust with --key")


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
