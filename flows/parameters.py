"""params.yaml: plain values in one block per stage, checked against the stages' own types, and the block `gate`.

`params.yaml` says what is made, and what a version must show to become champion; that block belongs to no stage. Where
it is made stands in `infra/profiles/` and changes no result beyond rounding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError

from components.registry.gate import Gate, parse_gates
from flows.declaration import Pipeline, Stage

PARAMS_FILE, GATE_BLOCK = "params.yaml", "gate"


class ParameterError(ValueError):
    """A person's mistake in a parameter file; the message says what, where and what to do."""


def read_blocks(file: Path) -> dict[str, Any]:
    """The blocks of a parameter file, by stage name.

    Raises:
        ParameterError: the file is missing, is not YAML, or is not a mapping of blocks.
    """
    try:
        blocks = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{file}: no such file; copy a recipe from infra/recipes/ to it") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{file}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ParameterError(f"{file}{where}: not valid YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(blocks, dict):
        raise ParameterError(f"{file}: must hold one block per stage, found {type(blocks).__name__}")
    return {str(name): block for name, block in cast(dict[Any, Any], blocks).items()}


def parse_block(stage: Stage, blocks: Mapping[str, Any], file: Path) -> BaseModel:
    """The parameters of `stage` as its own type.

    Raises:
        ParameterError: the block is missing, or a key is unknown, missing or of the wrong type; names the key.
    """
    if stage.name not in blocks:
        raise ParameterError(f"{file}: block {stage.name!r} is missing; a recipe in infra/recipes/ shows its keys")
    try:
        return stage.params.model_validate(blocks[stage.name])
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling says more.
        first, *rest = sorted(error.errors(), key=lambda found: found["type"] == "missing")
        key = ".".join(str(part) for part in (stage.name, *first["loc"]))
        given = "" if first["type"] == "missing" else f", got {first['input']!r:.60}"
        allowed = f"; its keys: {', '.join(stage.params.model_fields)}" if "forbidden" in first["type"] else ""
        more = f" (and {len(rest)} more)" if rest else ""
        raise ParameterError(f"{file}: {key}: {first['msg']}{given}{allowed}{more}") from None


def check_file(pipeline: Pipeline, file: Path) -> dict[str, BaseModel]:
    """Every stage's block of `file`, parsed; a gate is checked too, and other blocks are refused.

    Raises:
        ParameterError: as `parse_block`, or an unknown block.
        GateError: as `read_gate`.
    """
    blocks = read_blocks(file)
    if GATE_BLOCK in blocks:
        parse_gates(blocks[GATE_BLOCK], f"{file}: {GATE_BLOCK}")
    unknown = sorted(set(blocks) - set(pipeline.names) - {GATE_BLOCK})
    if unknown:
        raise ParameterError(f"{file}: no stage is called {unknown[0]!r}; the stages are: {', '.join(pipeline.names)}")
    return {stage.name: parse_block(stage, blocks, file) for stage in pipeline}


def read_gate(file: Path, name: str) -> Gate:
    """What a version of the registered model `name` must show to become champion, as `file` declares it.

    Raises:
        ParameterError: as `read_blocks`, or there is no gate for `name`.
        GateError: a gate is declared as it cannot be.
    """
    blocks = read_blocks(file)
    gates = parse_gates(blocks[GATE_BLOCK], f"{file}: {GATE_BLOCK}") if GATE_BLOCK in blocks else {}
    if name not in gates:
        there = ", ".join(gates) or "nothing; a recipe in infra/recipes/ shows how"
        raise ParameterError(f"{file}: no gate for {name!r}; the block {GATE_BLOCK!r} declares: {there}")
    return gates[name]
