"""How a command starts a build: the recipe it follows, the executor it chooses, and what it prints at the end."""

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from flows import settings
from flows.console import out
from flows.requests import FAMILIES


class Executor(StrEnum):
    """What runs the stages."""

    prefect = "prefect"
    local = "local"


def use_recipe(root: Path, recipe: str, pool: str = "") -> None:
    """Copy a recipe over params.yaml; `pool` is what `ingest` shall read, if not what the recipe says.

    Raises:
        SettingsError: as `recipe_file`.
    """
    text = recipe_file(root, recipe).read_text(encoding="utf-8")
    (root / "params.yaml").write_text(reading(text, pool) if pool else text, encoding="utf-8")
    out.print(f"params.yaml is now the recipe {recipe} (`git checkout params.yaml` brings the committed one back)")


def recipe_file(root: Path, recipe: str) -> Path:
    """The file of a recipe that may be copied over params.yaml without loss.

    Raises:
        SettingsError: no such recipe, or params.yaml holds uncommitted values that are no recipe's.
    """
    from flows.workspace import git

    recipes = {file.stem: file for file in sorted((root / "infra" / "recipes").glob("*.yaml"))}
    if recipe not in recipes:
        raise settings.SettingsError(f"no recipe is called {recipe!r}; infra/recipes/ holds: {', '.join(recipes)}")
    is_edited = bool(git(root, "status", "--porcelain", "--", "params.yaml"))
    known = [reading(file.read_text(encoding="utf-8"), "") for file in recipes.values()]
    if is_edited and reading((root / "params.yaml").read_text(encoding="utf-8"), "") not in known:
        raise settings.SettingsError("params.yaml holds edits that a recipe would overwrite; commit or undo them first")
    return recipes[recipe]


def reading(recipe: str, pool: str) -> str:
    """The text of a recipe whose `ingest` reads `pool`."""
    return re.sub(r"(?m)^  pools: \[.*\].*$", f"  pools: [{pool}]", recipe, count=1)


def start_build(root: Path, chosen: tuple[str, ...], profile: str, executor: Executor, *, force: bool) -> None:
    """Open a build, run it under `executor` while its display follows, and print how it ended."""
    from flows.display import Display
    from flows.local import open_build, run_local

    started = time.monotonic()
    settings.go_quiet()
    with open_build(root, chosen, profile, executor.value) as build:
        if executor is Executor.local:
            with Display(chosen, build.directory, out):
                run_local(build, force=force)
        else:
            with under_prefect(root) as url:
                out.print(f"Prefect: {url}")
                from flows.build import run_flow

                with Display(chosen, build.directory, out):
                    run_flow(root, build.name, force=force)
    print_ending(root, build.name, chosen, time.monotonic() - started)


@contextmanager
def under_prefect(root: Path) -> Generator[str]:
    """Inside the block Prefect may be imported, and its flows reach the server at the address given.

    Raises:
        ServerError: no server runs, and none could be started.
    """
    from flows.server import prefect_api, prefect_environment

    with prefect_api(root) as api:
        settings.go_quiet(prefect_environment(settings.home(root) / "prefect") | {"PREFECT_API_URL": api})
        yield api.removesuffix("/api")


def print_ending(root: Path, build: str, chosen: tuple[str, ...], seconds: float) -> None:
    """The last lines of a run: where the results lie, and what to type next."""
    from flows.lineage.record_keeping import seconds_spent
    from flows.pipeline import PIPELINE
    from flows.reports import read_report

    folder = settings.home(root) / "runs" / build
    reports = [report for stage in PIPELINE.names if (report := read_report(folder, stage))]
    work = sum(report.work_seconds for report in reports) / seconds
    ledger = seconds_spent(folder, PIPELINE.names) / seconds
    told = f"{work:.0%} of the time in their own work, {ledger:.1%} for the ledger"
    out.print(f"Done in {seconds:.0f} s: {len(reports)} stages ran, {told}.")
    page = root / "artifacts" / "report" / "index.html"
    if "export" not in chosen:
        return
    out.print(f"Data       {PIPELINE['data_report'].outputs['report']}/index.html")
    if page.exists():
        out.print(f"Report     {page.relative_to(root)}")
        out.print("Model      artifacts/export (stock diffusers loads it)")
    out.print("Look       easel ui")
    out.print('Try        easel generate "a red apple, blob style" -o apple.png')
    if (root / FAMILIES["turbo"][1]).exists():
        out.print('Faster     easel generate "a red apple, blob style" --model turbo -o apple.png')
        out.print("Proof      easel verify turbo")
