"""The command line. Heavy libraries are imported inside the commands, so that `--help` answers at once."""

import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows import settings
from flows.ablate_commands import ablate_app
from flows.aes_commands import aes
from flows.annotate_commands import agreement, annotate, candidates, votes
from flows.benchmark_commands import benchmark_app
from flows.console import EXIT_MISTAKE, JSON, complain, fail, here, out, remark
from flows.data_commands import data_app
from flows.lineage.accept_command import accept
from flows.lineage.audit_commands import audit_app
from flows.lineage.export_commands import export
from flows.lineage.keys_commands import keys_app
from flows.lineage.log_commands import lineage_app
from flows.lineage.question_commands import questions_app
from flows.lineage.record_command import record, record_unrecorded
from flows.lineage.sample_commands import sample
from flows.lineage.takedown_command import takedown_app
from flows.lineage.verify_command import verify
from flows.promote_commands import promotion_app
from flows.reports import EXIT_PREEMPTED, EXIT_STALLED
from flows.start import Executor, start_build, use_recipe

app = typer.Typer(
    name="easel",
    help="Raw images to a released text-to-image model: data construction, training, evaluation, export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data_app, name="data")
app.add_typer(ablate_app, name="ablate")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(promotion_app)
app.add_typer(takedown_app)
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
app.add_typer(lineage_app, name="lineage")
lineage_app.add_typer(questions_app)
lineage_app.command()(sample)
lineage_app.command()(record)
lineage_app.command()(export)
app.command()(verify)
app.command()(accept)
app.command()(aes)
app.command()(candidates)
app.command()(annotate)
app.command()(agreement)
app.command()(votes)


@app.command()
def run(
    since: Annotated[str | None, typer.Option("--from", help="This stage and all that stands on it.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="This stage and all that it stands on.")] = None,
    only: Annotated[str | None, typer.Option("--only", help="This stage alone.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run the chosen stages even if they are fresh.")] = False,
    executor: Annotated[Executor, typer.Option(help="`local` needs no server at all.")] = Executor.prefect,
    profile: Annotated[str, typer.Option(help="Where to run: a file in infra/profiles/.")] = "",
    recipe: Annotated[str, typer.Option(help="Copy infra/recipes/NAME.yaml over params.yaml first.")] = "",
) -> None:
    """Bring the pipeline up to date: run what is stale, and nothing else.

    Examples: `easel run` · `easel run --until pretrain_1` · `easel run --only evaluate --force` ·
    `easel run --recipe smoke --executor local`
    """
    root = here()
    if recipe:
        use_recipe(root, recipe)
    from flows.freshness import verdicts
    from flows.parameters import PARAMS_FILE, check_file
    from flows.pipeline import PIPELINE

    chosen = PIPELINE.select(since=since, until=until, only=only)
    place = settings.load_profile(root, profile or None)
    check_file(PIPELINE, root / PARAMS_FILE)
    stale = verdicts(PIPELINE, root)
    if not force and not any(stale[name].is_stale for name in chosen):
        out.print(f"Nothing to do: {len(chosen)} of {len(chosen)} stages are fresh.")
        record_unrecorded(root)
        return
    start_build(root, chosen, place.name, executor, force=force)


@app.command()
def status(as_json: JSON = False) -> None:
    """Show the stages: fresh, or stale and why.

    Examples: `easel status` · `easel status --json`
    """
    from flows.freshness import verdicts
    from flows.pipeline import PIPELINE

    found = verdicts(PIPELINE, here())
    if as_json:
        rows = [{"stage": v.stage, "stale": v.is_stale, "reasons": v.reasons} for v in found.values()]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = Table("stage", "", "stands on", "why", box=None, pad_edge=False)
    for stage in PIPELINE:
        verdict = found[stage.name]
        mark = "[yellow]stale" if verdict.is_stale else "[green]fresh"
        first, *others = verdict.reasons or ("",)
        more = f" (and {len(others)} more)" if others else ""
        table.add_row(stage.name, mark, ", ".join(stage.upstream) or "data", escape(first) + more)
    out.print(table)


@app.command()
def stage(name: Annotated[str, typer.Argument(help="A stage of the pipeline.")]) -> None:
    """Run one stage in this process, fresh or not: what dvc.yaml calls.

    Example: `easel stage evaluate`
    """
    from flows.pipeline import PIPELINE
    from flows.run import run_stage

    raise typer.Exit(run_stage(PIPELINE[name], here()))


@app.command(hidden=True)
def rank(name: str, job: Path) -> None:
    """Be one of the processes of a distributed stage: what the stage's own process calls."""
    from flows.pipeline import PIPELINE
    from flows.ranks import run_rank

    raise typer.Exit(run_rank(PIPELINE[name], job, here()))


@app.command()
def sync(check: Annotated[bool, typer.Option("--check", help="Only say whether files are stale.")] = False) -> None:
    """Write what is generated from flows/pipeline.py: dvc.yaml and the README's tables.

    Examples: `easel sync` · `easel sync --check`
    """
    from flows.pipeline import PIPELINE
    from flows.sync import stale_files, write_files

    root = here()
    files = [str(f.relative_to(root)) for f in (stale_files(PIPELINE, root) if check else write_files(PIPELINE, root))]
    if check and files:
        fail(f"{', '.join(files)}: not what flows/pipeline.py says; run `make sync` (or `easel sync`)")
    out.print("in sync" if not files else f"wrote {', '.join(files)}")


@app.command()
def plan(
    recipe: Annotated[str, typer.Option(help="A recipe in infra/recipes/, or a file; default params.yaml.")] = "",
    profile: Annotated[str, typer.Option(help="Where it would run: a file in infra/profiles/.")] = "",
    utilisation: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the peak that devices reach.")] = 0.35,
    text_tokens: Annotated[int, typer.Option(min=0, help="Tokens of a text; 0 goes by the kinds of caption.")] = 0,
    as_json: JSON = False,
) -> None:
    """Say what a recipe's training stages need: memory, time, files, whether they fit, and the best setting.

    Examples: `easel plan` · `easel plan --recipe ernie-image-8b --profile h100x64` ·
    `easel plan --recipe ernie-image-8b --profile h100x8 --utilisation 0.12 --json`
    """
    from flows.plan import recipe_plans, stage_json
    from flows.plan_view import show_plans

    root = here()
    place = settings.load_profile(root, profile or None)
    plans = recipe_plans(root, recipe, place, utilisation=utilisation, text_tokens=text_tokens or None)
    if as_json:
        sys.stdout.write(json.dumps([stage_json(found) for found in plans], indent=2) + "\n")
    else:
        show_plans(plans, place, utilisation)


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    model: Annotated[
        str,
        typer.Option(help="`latest`, an alias, a version, a pipeline's folder; `turbo`, `turbo:3`: few steps."),
    ] = "latest",
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG to write.")] = Path("image.png"),
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Sampler iterations; default: as the model states, or 25.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0.0, help="1 is no guidance; default: as the model states, or 3.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same image.")] = 0,
    width: Annotated[int, typer.Option(help="Pixels, a multiple of 16.")] = 64,
    height: Annotated[int, typer.Option(help="Pixels, a multiple of 16.")] = 64,
    enhance: Annotated[bool, typer.Option("--enhance", help="Let the prompt enhancer say it at more length.")] = False,
) -> None:
    """Draw an image with a registered or exported model.

    Examples: `easel generate "a red apple, blob style" -o apple.png` · `easel generate "a cat" --model candidate` ·
    `easel generate "a red apple, blob style" --model turbo -o apple.png` (8 evaluations instead of 50) ·
    `easel generate "two cats" --enhance`
    """
    settings.go_quiet()
    from flows.generate import generate as draw

    size = {"width": width, "height": height}
    written = draw(prompt, model=model, out=output, steps=steps, guidance=guidance, seed=seed, **size, enhance=enhance)
    out.print(f"wrote {written}", soft_wrap=True)


@app.command()
def enhance(
    wish: Annotated[str, typer.Argument(help="What to draw, in a few words, in English or Chinese.")],
    model: Annotated[
        str, typer.Option(help="Whose enhancer: `latest`, `turbo`, an alias, a version, a pipeline's folder.")
    ] = "latest",
    width: Annotated[int, typer.Option(help="Pixels of the picture, a multiple of 16.")] = 64,
    height: Annotated[int, typer.Option(help="Pixels of the picture, a multiple of 16.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same words.")] = 0,
    as_json: JSON = False,
) -> None:
    """Tell a wish at more length, as the model reads it; the wish itself, and why, where that would change it.

    Examples: `easel enhance "two red apples"` · `easel enhance "两只猫" --width 96 --json`
    """
    settings.go_quiet()
    from flows.enhance import enhance as tell

    found = tell(wish, model=model, width=width, height=height, seed=seed)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), ensure_ascii=False, indent=2) + "\n")
        return
    out.print(escape(found.text), soft_wrap=True)
    if not found.was_enhanced:
        remark(f"not enhanced: {found.reason}")


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port of the MLflow page; 0 takes a free one.")] = 5000) -> None:
    """Open MLflow on this workspace's runs (Ctrl-C ends it).

    To compare runs: open a build with its +, then the chart view for curves over images seen and pictures with their
    sliders, the table view for the scores of evaluations, or tick runs and press Compare.

    Examples: `easel ui` · `easel ui --port 0`
    """
    from flows.server import start_mlflow, stop

    server = start_mlflow(here(), port or None)
    out.print(f"MLflow: {server.url}  (Ctrl-C ends it)")
    try:
        wait_for_interrupt()
    finally:
        stop(server)


@app.command()
def up() -> None:
    """Keep a Prefect server and MLflow on this host until Ctrl-C; runs started meanwhile use them.

    Example: `easel up`
    """
    from flows.server import both

    with both(here()) as (prefect, mlflow):
        out.print(f"Prefect: {prefect.url}\nMLflow:  {mlflow.url}\n(Ctrl-C ends both)")
        wait_for_interrupt()


def wait_for_interrupt() -> None:
    """Sleep until Ctrl-C."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass


def main() -> None:
    """Run the command line; an error becomes one line and exit code 1, or 75 or 76: run again to continue.

    SIGTERM is taken like Ctrl-C, so that the servers of `ui` and `up` end with this process; so is SIGUSR1, which Slurm
    sends before the time is up.
    """
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.default_int_handler)
    try:
        app()
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        is_key = isinstance(error, KeyError)
        complain(str(error.args[0] if is_key else error))
        code = getattr(error, "exit_code", EXIT_MISTAKE)
        sys.exit(code if code in (EXIT_PREEMPTED, EXIT_STALLED) else EXIT_MISTAKE)
