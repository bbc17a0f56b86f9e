"""What every command shares: where it prints, how it refuses, and which repository it works in."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

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


def remark(message: str) -> None:
    """Print one line that stops nothing on standard error."""
    Console(stderr=True, highlight=False).print(f"[bold]note[/]: {escape(message)}", soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Print one line for a person and leave with code 1."""
    complain(message)
    raise typer.Exit(EXIT_MISTAKE)


def printable(value: Any) -> str:
    """`value` as text that no terminal obeys: control characters as their escapes, markup as it is written."""
    if isinstance(value, list):
        return ", ".join(printable(one) for one in value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def progress_bars() -> Generator[Callable[[str, int, int], None]]:
    """One bar for each thing that is told of, by its title, on standard error: advance(title, done, total)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks = dict[str, TaskID]()
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def advance(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = shown.add_task(title, total=total)
            shown.update(tasks[title], completed=done, total=total)

        yield advance


def here() -> Path:
    """The repository's root."""
    return settings.find_root(Path.cwd())
