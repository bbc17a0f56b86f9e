"""Commands below `easel benchmark`. Heavy libraries are imported inside them, so that `--help` answers at once."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows import settings
from flows.benchmark import SEED, Request, run_benchmark
from flows.console import JSON, here, out, printable, progress_bars, remark

if TYPE_CHECKING:
    from components.evaluation.benchmarks.results import Results

benchmark_app = typer.Typer(
    help="Public benchmarks: draw their prompts, score what can be scored here, say what cannot.", no_args_is_help=True
)
PROMPTS = Annotated[Path, typer.Option(help="The benchmark's own file of prompts.")]
MODEL = Annotated[str, typer.Option(help="`latest`, an alias, a version, a pipeline's folder; `turbo`, `turbo:3`.")]
LIMIT = Annotated[int | None, typer.Option(min=1, help="So many prompts, of all groups; default: all of them.")]
ENHANCE = Annotated[bool, typer.Option("--enhance", help="Let the prompt enhancer say each prompt at more length.")]
SEED_OPTION = Annotated[int, typer.Option(min=0, help="Of the first drawing of each prompt; the next has the next.")]
SIDE = Annotated[int, typer.Option(help="Side of a drawing in pixels, a multiple of 16.")]
OFFICIAL = Annotated[Path | None, typer.Option(help="What the benchmark's own scorer wrote of these drawings.")]
AGAIN = Annotated[bool, typer.Option("--again", help="Keep nothing that was drawn before.")]


@benchmark_app.command("geneval")
def geneval(
    prompts: PROMPTS,
    model: MODEL = "latest",
    enhance: ENHANCE = False,
    limit: LIMIT = None,
    seed: SEED_OPTION = SEED,
    side: SIDE = 64,
    official: OFFICIAL = None,
    again: AGAIN = False,
    as_json: JSON = False,
) -> None:
    """GenEval, four drawings of each line of evaluation_metadata.jsonl, in the folders that its scorer reads.

    No object detector is here: run `evaluate_images.py` of the benchmark on artifacts/benchmarks/geneval/MODEL/images,
    and the same command with `--official results.jsonl` makes the table beside the published ones.

    Examples: `easel benchmark geneval --prompts evaluation_metadata.jsonl --limit 12` ·
    `easel benchmark geneval --prompts evaluation_metadata.jsonl --model turbo --official results.jsonl --json`
    """
    _run(Request("geneval", prompts, model, limit, enhance, seed, side, official, again), as_json=as_json)


@benchmark_app.command("oneig")
def oneig(
    prompts: PROMPTS,
    model: MODEL = "latest",
    enhance: ENHANCE = False,
    limit: LIMIT = None,
    seed: SEED_OPTION = SEED,
    side: SIDE = 64,
    official: OFFICIAL = None,
    again: AGAIN = False,
    as_json: JSON = False,
) -> None:
    """OneIG-Bench, a grid of four drawings for each row of OneIG-Bench.csv or OneIG-Bench-ZH.csv.

    Scored here: letters by PP-OCRv4, where text_content.csv (text_content_zh.csv) lies beside the prompts or in
    scripts/text, and how much the drawings of a prompt vary. `--official` takes the folder `results` that the
    benchmark's own scripts wrote of artifacts/benchmarks/oneig_en/MODEL/images.

    Examples: `easel benchmark oneig --prompts OneIG-Bench.csv --limit 24` ·
    `easel benchmark oneig --prompts OneIG-Bench-ZH.csv --model turbo --enhance --official results --json`
    """
    _run(Request("oneig", prompts, model, limit, enhance, seed, side, official, again), as_json=as_json)


@benchmark_app.command("longtext")
def longtext(
    prompts: PROMPTS,
    model: MODEL = "latest",
    enhance: ENHANCE = False,
    limit: LIMIT = None,
    seed: SEED_OPTION = SEED,
    side: SIDE = 64,
    official: OFFICIAL = None,
    again: AGAIN = False,
    as_json: JSON = False,
) -> None:
    """LongText-Bench, four drawings of each line of text_prompts.jsonl or text_prompts_zh.jsonl.

    Scored here by its own formula with letters read by PP-OCRv4. `--official` takes what `evaluate_text_reward.py` of
    the benchmark wrote, whose numbers stand beside published ones.

    Examples: `easel benchmark longtext --prompts text_prompts.jsonl --limit 8` ·
    `easel benchmark longtext --prompts text_prompts_zh.jsonl --model turbo --official results.jsonl`
    """
    _run(Request("longtext", prompts, model, limit, enhance, seed, side, official, again), as_json=as_json)


@benchmark_app.command("eria")
def eria(
    prompts: Annotated[Path, typer.Option(help="ERIA-1K's folder, or its test/test.json.")],
    model: Annotated[Path | None, typer.Option(help="Folder of an Aes model; default: this workspace's own.")] = None,
    limit: Annotated[int | None, typer.Option(min=3, help="The first so many images; default: all of them.")] = None,
    as_json: JSON = False,
) -> None:
    """ERIA-1K: how far the Aes model's scores follow the tiers that people gave a thousand images.

    Examples: `easel benchmark eria --prompts ERIA-1K-Benchmark` ·
    `easel benchmark eria --prompts ERIA-1K-Benchmark/test/test.json --model artifacts/models/aes --json`
    """
    settings.go_quiet()
    from flows.benchmark_eria import EriaRequest, run_eria

    root = here()
    with progress_bars() as advance:
        results, folder = run_eria(root, EriaRequest(prompts, model, limit), advance)
    show(results, folder.relative_to(root), as_json=as_json)


@benchmark_app.command("published")
def published(
    table: Annotated[str, typer.Argument(help="geneval, oneig_en, oneig_zh, longtext, eria, human_preference.")],
    as_json: JSON = False,
) -> None:
    """Print what others have published, each row with its source and how certain it is. None of it is ours.

    Examples: `easel benchmark published geneval` · `easel benchmark published eria --json`
    """
    from dataclasses import asdict

    from components.evaluation.benchmarks.published import published as rows_of

    rows = rows_of(table)
    if as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
        return
    metrics = list(rows[0].values)
    shown = Table("model", *metrics, "certainty", "source", box=None, pad_edge=False)
    for row in rows:
        values = (f"{row.values[name]:g}" for name in metrics)
        shown.add_row(printable(row.model), *values, row.certainty, printable(row.source))
    out.print(shown)


def _run(request: Request, *, as_json: bool) -> None:
    settings.go_quiet()
    root = here()
    with progress_bars() as advance:
        results, folder = run_benchmark(root, request, advance)
    show(results, folder.relative_to(root), as_json=as_json)


def show(results: "Results", folder: Path, *, as_json: bool) -> None:
    """Print a benchmark's results for machines, or a table for people; `folder` is where they lie."""
    from components.evaluation.benchmarks.results import PAGE, stored

    if as_json:
        sys.stdout.write(json.dumps(stored(results), indent=2, ensure_ascii=False) + "\n")
        return
    if results.scores:
        table = Table("metric", "group", "score", "95 %", "of", "by", box=None, pad_edge=False)
        for score in results.scores:
            interval = f"{score.low:.4f} to {score.high:.4f}"
            name, by = ("", "") if score.group else (score.metric, score.scorer)
            cells = (name, score.group or "all", f"{score.value:.4f}", interval, str(score.num), by)
            table.add_row(*(printable(cell) for cell in cells))
        out.print(table)
    for needs, metrics in results.unscored_by_need.items():
        out.print(f"not scored: {', '.join(metrics)}; needs {printable(needs)}", soft_wrap=True)
    for note in results.notes:
        remark(note)
    out.print(f"wrote {folder / PAGE}", soft_wrap=True)
