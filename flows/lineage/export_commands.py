"""Commands that give a history to others' tools. Heavy libraries are imported inside them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import settings
from flows.console import here, remark


class Standard(StrEnum):
    """What a history can be told in."""

    prov = "prov"
    openlineage = "openlineage"
    spdx3 = "spdx3"
    cyclonedx = "cyclonedx"
    croissant = "croissant"


def export(
    reference: Annotated[
        str, typer.Argument(help="A model (`turbo`, `turbo:3`), a data set's path, a stage, a run, a record's id.")
    ],
    standard: Annotated[
        Standard,
        typer.Option(
            "--format",
            help="PROV-JSON; OpenLineage events, one a line; SPDX 3.0.1 JSON-LD; CycloneDX 1.7 ML-BOM; Croissant 1.1.",
        ),
    ],
    file: Annotated[Path | None, typer.Option("--out", help="The file to write; default: standard output.")] = None,
) -> None:
    """Write what a model or data set came from, and what was decided about it, as a document of a standard.

    The same records give the same bytes.

    Examples: `easel lineage export turbo --format prov` ·
    `easel lineage export turbo:2 --format cyclonedx --out bom.json` ·
    `easel lineage export artifacts/latents --format croissant --out croissant.json`
    """
    settings.go_quiet()
    from flows.lineage.exports import export_lineage
    from flows.reports import write_durably

    text = export_lineage(here(), reference, standard.value)
    if file is None:
        sys.stdout.write(text)
        return
    write_durably(file, text)
    remark(f"wrote {file}: {len(text.encode()):,} bytes of {standard.value}")
