"""Commands below `easel ablate`. Heavy libraries are imported inside the commands, so that `--help` answers at once."""

import json
import sys
from typing import Annotated, Any

import typer

from flows import settings
from flows.console import JSON, here, out, progress_bars

ablate_app = typer.Typer(
    help="What a part of the recipe is worth: the same training without it, from a finished run.", no_args_is_help=True
)
PROFILE = Annotated[str, typer.Option(help="Where to run: a file in infra/profiles/.")]


@ablate_app.command("dpo")
def dpo(
    pairs: Annotated[int | None, typer.Option(min=1, help="Pairs that each training sees; default: as `dpo`.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-12, help="Default: three times that of `dpo`.")] = None,
    mu: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the winner-preserving scale; 1 never pushes.")] = 0.9,
    prompts: Annotated[int, typer.Option(min=0, help="Prompts that a judge compares pictures for; 0 for none.")] = 64,
    profile: PROFILE = "",
    as_json: JSON = False,
) -> None:
    """Show what safeguards are worth: DPO alone, with anchors, with the winner-preserving scale, with both.

    Same pairs, start, steps, seeds and learning rate, from the artifacts of a finished run; table, chart and grids
    are written to artifacts/ablations/dpo/.

    Examples: `easel ablate dpo` · `easel ablate dpo --learning-rate 1e-3 --pairs 4000` ·
    `easel ablate dpo --prompts 0 --json`
    """
    settings.go_quiet()
    from flows.ablate_dpo import NAME, Request, ablate_dpo

    root = here()
    request = Request(num_pairs=pairs, learning_rate=learning_rate, mu=mu, num_prompts=prompts)
    with progress_bars() as advance:
        found = ablate_dpo(root, request, settings.load_profile(root, profile or None), advance)
    tell(NAME, found, as_json=as_json)


@ablate_app.command("distill")
def distill(
    updates: Annotated[int | None, typer.Option(min=1, help="Of the student; default: as `distill`.")] = None,
    profile: PROFILE = "",
    as_json: JSON = False,
) -> None:
    """Show what a committee is worth: as declared, one teacher, one table for both roles, noised real data.

    Same prompts, start, steps, seeds and rates, from the artifacts of a finished run; the table of what each student
    keeps of its teacher, the chart of it by domain, and grids are written to artifacts/ablations/distill/.

    Examples: `easel ablate distill` · `easel ablate distill --updates 20 --json`
    """
    settings.go_quiet()
    from flows.ablate_distill import NAME, Request, ablate_distill

    root = here()
    with progress_bars() as advance:
        found = ablate_distill(root, Request(updates), settings.load_profile(root, profile or None), advance)
    tell(NAME, found, as_json=as_json)


def tell(what: str, found: dict[str, Any], *, as_json: bool) -> None:
    """Print an ablation's figures for machines, or its table for people."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    from flows.ablations import TABLE, folder_of

    out.print((here() / folder_of(what) / TABLE).read_text(encoding="utf-8"), soft_wrap=True)
    out.print(f"wrote {folder_of(what)}")
