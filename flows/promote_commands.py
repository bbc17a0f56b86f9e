"""Commands about who is champion. Heavy libraries are imported inside them, so that `--help` answers at once."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows import settings
from flows.console import EXIT_MISTAKE, JSON, here, out, remark
from flows.reports import EXIT_PREEMPTED
from flows.start import Executor, under_prefect

if TYPE_CHECKING:
    from components.registry.gate import Check
    from flows.compare import Comparison
    from flows.promote import Outcome

promotion_app = typer.Typer()

Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
By = Annotated[str, typer.Option("--by", help="Who decides; default: your login.")]
Family = Annotated[str, typer.Argument(help="A family of models: `turbo`; left out: the one drawn with guidance.")]


@promotion_app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version, `candidate`, `latest`; `turbo:3`, `turbo:candidate`.")],
    reason: Reason,
    override: Annotated[bool, typer.Option("--override", help="Although the gate refuses; kept as such.")] = False,
    by: By = "",
    executor: Annotated[
        Executor, typer.Option(help="`prefect` keeps the decision as a flow run too.")
    ] = Executor.local,
    as_json: JSON = False,
) -> None:
    """Make a version champion, if the gate in params.yaml opens; where that wants two persons, both say so.

    Leaves with 1 if the gate refuses, and with 75 while a second person is waited for.

    Examples: `easel promote 3 --reason "better lettering"` · `easel promote turbo:candidate --reason "less drift"` ·
    `easel promote 4 --reason "last week's set was wrong" --override --by ann` ·
    `easel promote candidate --reason "nightly" --executor prefect`
    """
    settings.go_quiet()
    from flows.promote import promote as decide

    if executor is Executor.local:
        outcome = decide(here(), version, reason=reason, by=by, override=override)
    else:
        with under_prefect(here()) as url:
            remark(f"Prefect: {url}")
            from flows.build import run_promotion

            outcome = run_promotion(here(), version, reason=reason, by=by, override=override)
    if as_json:
        _write_json(asdict(outcome))
    else:
        _show_outcome(outcome)
    match outcome.result:
        case "promoted":
            return
        case "refused by the gate":
            raise typer.Exit(EXIT_MISTAKE)
        case "waits for a second person":
            raise typer.Exit(EXIT_PREEMPTED)


@promotion_app.command()
def rollback(reason: Reason, family: Family = "", by: By = "", as_json: JSON = False) -> None:
    """Restore the champion before the present one, in one step.

    Examples: `easel rollback --reason "draws grey squares"` · `easel rollback turbo --reason "drifts"`
    """
    settings.go_quiet()
    from flows.promote import registered_name
    from flows.promote import rollback as restore

    decision = restore(here(), family, reason=reason, by=by)
    if as_json:
        _write_json(asdict(decision))
        return
    instead = f", no longer {decision.before}" if decision.before is not None else ""
    out.print(f"{registered_name(family)}: version {decision.version} is champion again{instead}")


@promotion_app.command()
def history(family: Family = "", as_json: JSON = False) -> None:
    """Show every champion there was: when, by whose word, and why.

    Examples: `easel history` · `easel history turbo --json`
    """
    settings.go_quiet()
    from flows.promote import history as decisions

    found = decisions(here(), family)
    if as_json:
        _write_json([asdict(decision) for decision in found])
        return
    table = Table("when", "what", "champion", "before", "by", "why", box=None, pad_edge=False)
    for decision in found:
        what = f"{decision.kind}, overriding the gate" if decision.is_override else decision.kind
        persons = " and ".join(filter(None, (decision.asked_by, decision.by)))
        champions = [str(number) if number is not None else "none" for number in (decision.version, decision.before)]
        table.add_row(*(escape(cell) for cell in (decision.at, what, *champions, persons, decision.reason)))
    out.print(table if found else "no version has been champion yet")


@promotion_app.command()
def compare(
    models: Annotated[list[str], typer.Argument(help="Versions, aliases, `turbo:3`, `all`, `turbo:all`, ids of runs.")],
    sheet: Annotated[Path | None, typer.Option(help="A PNG to write: what each drew, one above another.")] = None,
    browse: Annotated[bool, typer.Option("--open", help="Show that PNG.")] = False,
    as_json: JSON = False,
) -> None:
    """Show the metrics of versions or runs side by side, as the gate sees them; one alone beside the champion.

    Below stand the versions that no other beats: none is as good in every metric of the gate, and better in one.

    Examples: `easel compare champion candidate` · `easel compare 1 2 3` · `easel compare turbo:candidate --json` ·
    `easel compare all` · `easel compare turbo:all` · `easel compare champion candidate --sheet both.png --open`
    """
    settings.go_quiet()
    from flows.compare import chosen, write_sheet
    from flows.compare import compare as side_by_side

    found = side_by_side(here(), models)
    if as_json:
        _write_json(asdict(found))
    else:
        _show_comparison(found)
    if sheet or browse:
        sheet = write_sheet(here(), chosen(here(), models), sheet or settings.home(here()) / "compared.png")
        remark(f"wrote {sheet}")
    if browse and sheet:
        typer.launch(sheet.absolute().as_uri())


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _show_outcome(outcome: "Outcome") -> None:
    out.print(_checks_table(outcome.checks))
    if outcome.beaten_by:
        out.print(f"as good in every metric of the gate, and better in one: {escape(', '.join(outcome.beaten_by))}")
    for note in outcome.notes:
        remark(note)
    before = f"version {outcome.before}" if outcome.before is not None else "none"
    what = f"version {outcome.version} of {outcome.name}"
    match outcome.result:
        case "promoted":
            out.print(f"[green]promoted[/]: {what} is champion now; before: {before}")
        case "refused by the gate":
            out.print(f"[red]refused[/]: {what} is not promoted; champion stays: {before}")
            remark("--override promotes it all the same, and is kept with the reason")
        case "waits for a second person":
            out.print(f"[yellow]asked[/]: {what} waits for a second person's `easel promote`; champion stays: {before}")


def _checks_table(checks: "Sequence[Check]") -> Table:
    table = Table("metric", "version", "champion", "worse by at most", "bound", "verdict", box=None, pad_edge=False)
    for check in checks:
        rule = check.rule
        bound = f"≥ {_figure(rule.at_least)}" if rule.better == "higher" else f"≤ {_figure(rule.at_most)}"
        has_bound = rule.at_least is not None or rule.at_most is not None
        colour = "green" if check.passes else "red"
        figures = [_figure(value) for value in (check.value, check.champion, rule.worse_by_at_most)]
        table.add_row(escape(rule.metric), *figures, bound if has_bound else "–", f"[{colour}]{check.verdict}")
    return table


def _show_comparison(found: "Comparison") -> None:
    table = Table("metric", "better", *map(escape, found.names), box=None, pad_edge=False)
    for row in found.rows:
        marks = {"better": " [green]better", "worse": " [red]worse", "no difference beyond the margin": " ="}
        told = ["", *(marks.get(contrast, "") for contrast in row.contrasts)]
        cells = [f"{_figure(value)}{mark}" for value, mark in zip(row.values, told, strict=True)]
        table.add_row(escape(row.metric), row.better, *cells)
    out.print(table)
    out.print(f"=: no difference beyond the gate's margin · beaten by no other in all of it: {', '.join(found.front)}")
    for name, better in found.beaten_by.items():
        if better:
            out.print(f"{escape(name)} is beaten in all of it by {escape(', '.join(better))}")
