"""`easel annotate`: vote on images in a browser."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows import settings
from flows.annotate import QUESTION, open_session, outcome, serve
from flows.console import JSON, out


def annotate(
    images: Annotated[Path, typer.Argument(help="A folder of PNG, JPEG or WebP images.")],
    annotator: Annotated[str, typer.Option(help="Who votes: one person plays a tournament alone.")],
    name: Annotated[str, typer.Option(help="Of the tournament; default: the folder's name.")] = "",
    prompt: Annotated[str, typer.Option(help="Shown above; what the images were drawn for, for DPO.")] = QUESTION,
    calibration: Annotated[int, typer.Option(min=0, help="Pairs of known order to pass first; 0: none.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pairs.")] = 0,
    host: Annotated[str, typer.Option(help="An IPv4 address; any but this machine's own wants a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    results: Annotated[bool, typer.Option("--results", help="Only say what came of it.")] = False,
    as_json: JSON = False,
) -> None:
    """Vote on pairs of a folder's images, about n log2(n) / 2 of them, for tiers 1 to 10 and pairs for DPO.

    Keys: left, right, space for a tie, Z to undo. Every vote is on the disk at once: end it at any time (Ctrl-C), and
    the same command goes on. Votes lie in `tournaments/NAME/ANNOTATOR/votes.jsonl` of the workspace's state.

    Examples: `easel annotate photos --annotator p7` · `easel annotate foxes --annotator p7 --prompt "a red fox"` ·
    `easel annotate photos --annotator p7 --results --json`
    """
    settings.go_quiet()
    session, pictures, folder = open_session(
        images, annotator, name=name, prompt=prompt, num_calibration=calibration, seed=seed
    )
    try:
        if not results:
            with serve(session, pictures, host, port) as server:
                out.print(f"vote at {escape(server.url)}  (Ctrl-C ends it)", soft_wrap=True)
                with suppress(KeyboardInterrupt):
                    server.serve_forever()
        found = outcome(session)
    finally:
        session.close()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _show(found, folder)


def _show(found: dict[str, Any], folder: Path) -> None:
    """The tally in a line, and a row for each image once all are ranked."""
    seen = found["reliability"]
    again = seen["consistency"]
    repeats = "" if again is None else f"; the same again in {again:.0%} of {seen['num_repeats']} repeats"
    tally = f"{found['phase']}: {found['votes']} of {found['of']} votes in {folder}{repeats}"
    out.print(escape(tally), soft_wrap=True)
    if found["ranking"]:
        table = Table("tier", "score", "place", "wins", "image", box=None, pad_edge=False)
        for row in found["ranking"]:
            table.add_row(
                str(row["tier"]), f"{row['score']:.0f}", f"{row['place']:.3f}", f"{row['wins']:g}", row["image"][:16]
            )
        out.print(table)
