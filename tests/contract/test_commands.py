"""Every command of the command line says what it does, with an example that calls it."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from flows.cli import app


def commands(group: Any, path: str = "easel") -> Iterator[tuple[str, Any]]:
    """The commands below a group, each with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*found, id=found[0]) for found in commands(typer.main.get_command(app))]
)
def test_help_has_an_example_that_calls_the_command(path: str, command: Any) -> None:
    told = " ".join((command.help or "").split())
    assert f"`{path}" in told.partition("Example")[2]
