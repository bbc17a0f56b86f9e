"""`easel aes`: how pleasing pictures look, as far as the labels of the model knew."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from flows import settings
from flows.console import JSON, fail, out, printable, progress_bars, remark


def aes(
    images: Annotated[list[Path], typer.Argument(help="Pictures (PNG, JPEG, WebP, GIF), or folders of them.")],
    model: Annotated[
        Path | None, typer.Option(help="A folder that the stage `aes` made; default: this workspace's.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Score pictures from 0 to 100 by the Aes model; what its labels were is said beside the scores.

    Examples: `easel aes image.png` · `easel aes photos drawings/fox.png --json` ·
    `easel aes photos --model artifacts/models/aes`
    """
    settings.go_quiet()
    from components.data.readers.interface import printable as plain
    from flows.aes import score_files

    with progress_bars() as advance:
        found, description = score_files(images, model, lambda done, total: advance("pictures", done, total))
    if as_json:
        told = {"model": description, "images": [asdict(one) for one in found]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        table = Table("score", Column("picture", overflow="fold"), box=None, pad_edge=False)
        for one in found:
            table.add_row("refused" if one.score is None else f"{one.score:.1f}", printable(one.image))
        out.print(table)
        remark(description)
    for one in found:
        if one.refused:
            remark(f"{plain(one.image)}: refused, {one.refused}")
    if all(one.refused for one in found):
        fail(f"none of {len(found)} pictures could be read")
