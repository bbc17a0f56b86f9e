"""Commands that turn the ledger into documents for auditors. Heavy libraries are imported inside them."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import settings
from flows.console import JSON, here, out, remark
from flows.reports import write_durably

audit_app = typer.Typer(help="Documents for auditors, made from the ledger.", no_args_is_help=True)


class Form(StrEnum):
    """How a document is written."""

    html = "html"
    markdown = "markdown"
    json = "json"


@audit_app.command()
def summary(
    model: Annotated[
        str, typer.Argument(help="As elsewhere: `turbo`, `turbo:3`, an alias, an export, a stage, a record.")
    ],
    form: Annotated[Form, typer.Option("--format", help="A page, Markdown, or JSON for machines.")] = Form.html,
    file: Annotated[Path | None, typer.Option("--out", help="The file to write.")] = None,
    browse: Annotated[bool, typer.Option("--open", help="Show the page.")] = False,
    provider: Annotated[
        Path | None, typer.Option(help="A YAML file with the block `provider:`; or EASEL_PROVIDER.")
    ] = None,
) -> None:
    """Write a model's public summary of training content (EU, Art. 53(1)(d)), its attributions and its model card.

    Every figure links to the row of the ledger that it comes from, and is checked against it before anything is
    written. What no record holds is listed as such: name, contact and terms come from the provider's file.

    Examples: `easel audit summary turbo --open` · `easel audit summary turbo:3 --format markdown --out summary.md` ·
    `easel audit summary turbo --provider provider.yaml --format json`
    """
    settings.go_quiet()
    from components.lineage.audit.document import missing
    from flows.lineage.audit import SUFFIXES
    from flows.lineage.audit import summary as written

    text, document, checked = written(here(), model, form.value, provider)
    told = f"{checked} figures, each as the ledger has it; {len(missing(document))} fields are not stated"
    if file is None and not browse and form is not Form.html:
        sys.stdout.write(text)
        remark(told)
        return
    file = file or settings.home(here()) / "audit" / f"{document.subject[:12]}.{SUFFIXES[form.value]}"
    write_durably(file, text)
    out.print(f"wrote {file}", soft_wrap=True)
    remark(told)
    if browse:
        typer.launch(file.absolute().as_uri())


@audit_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A summary that was written with `--format json`.", exists=True)],
    as_json: JSON = False,
) -> None:
    """Walk every figure of a summary back to the ledger as it is now, and compare.

    Example: `easel audit check summary.json`
    """
    settings.go_quiet()
    from flows.lineage.audit import check_summary

    checked = check_summary(here(), file)
    if as_json:
        sys.stdout.write(json.dumps({"figures": checked, "holds": True}) + "\n")
    else:
        out.print(f"{checked} figures, each as the ledger has it")
