"""What every command shares: where it prints, how it refuses, and which repository it works in."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from flows import settings

EXIT_MISTAKE = 1
JSON = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
out = Console(highlight=False)


def complain(message: str) -> None:
    """Print one line for a person on standard error."""
    Console(stderr=True, highlight=False).print(f"[bold red]error[/]: {escape(message)}", soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Print one line for a person and leave with code 1."""
    complain(message)
    raise typer.Exit(EXIT_MISTAKE)


def here() -> Path:
    """The repository's root."""
    return settings.find_root(Path.cwd())
