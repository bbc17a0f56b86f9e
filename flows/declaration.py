"""What a stage is: a function whose signature declares it, and a table that adds the paths.

Everything else is derived from a `Stage`: its DVC entry, its Prefect task, its MLflow run, its row in the README.
A mistake in the wiring is an error when the module is imported, never a stale string found at run time.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

MADE_DIR = "artifacts"
METRICS_DIR = f"{MADE_DIR}/metrics"


class DeclarationError(ValueError):
    """The pipeline contradicts itself; raised when `flows.pipeline` is imported."""


@dataclass(frozen=True)
class Artifact:
    """A file or folder, by its path from the repository's root, and the stage that makes it (None: it is given)."""

    path: str
    made_by: str | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or str(path) != self.path:
            raise DeclarationError(f"artifact path {self.path!r} must be plain and relative to the repository's root")


@dataclass(frozen=True)
class Stage:
    """A node of the pipeline: `function` with its roles bound to artifacts.

    Args:
        function: `f(p: Params, *, role: Path, ...) -> Metrics`; its module holds the stage's code.
        inputs: role to artifact; take another stage's output with `OTHER.out("role")`.
        outputs: role to path below `artifacts/`.
        name: distinguishes stages declared from one function; the function's name if left out.
        needs_libraries: the numbers depend on library versions, so `requirements.lock` is a dependency too.
        distributed: the function runs in as many processes as the profile says; only rank 0 of them writes outputs.

    Raises:
        DeclarationError: a role that the signature does not have, or one that the table does not bind.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Artifact]
    outputs: Mapping[str, str]
    name: str = ""
    needs_libraries: bool = False
    distributed: bool = False
    params: type[BaseModel] = field(init=False)
    metrics: type[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.function.__name__)
        hints = get_type_hints(self.function)
        params, metrics = hints.get("p"), hints.get("return")
        if not (isinstance(params, type) and issubclass(params, BaseModel)):
            raise DeclarationError(f"stage {self.name}: its first argument must be `p: <a pydantic model>`")
        if not (isinstance(metrics, type) and is_dataclass(metrics)):
            raise DeclarationError(f"stage {self.name}: it must return a dataclass of metrics")
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "metrics", metrics)
        self._check_roles(hints)
        for path in self.outputs.values():
            if not Artifact(path).path.startswith(f"{MADE_DIR}/"):
                raise DeclarationError(f"stage {self.name}: output {path!r} must lie below {MADE_DIR}/")

    def _check_roles(self, hints: Mapping[str, Any]) -> None:
        keyword_only = [a for a in inspect.signature(self.function).parameters.values() if a.kind is a.KEYWORD_ONLY]
        roles = {a.name for a in keyword_only}
        required = {a.name for a in keyword_only if a.default is a.empty}
        not_paths = sorted(r for r in roles if hints[r] is not Path and Path not in get_args(hints[r]))
        bound = [*self.inputs, *self.outputs]
        problems = {
            "binds a role that the function does not have": sorted(set(bound) - roles),
            "does not bind": sorted(required - set(bound)),
            "binds as input and as output": sorted(set(self.inputs) & set(self.outputs)),
            "has a role that is not a Path": not_paths,
        }
        for problem, names in problems.items():
            if names:
                raise DeclarationError(f"stage {self.name} {problem}: {', '.join(names)}; its roles: {sorted(roles)}")

    def out(self, role: str) -> Artifact:
        """The artifact that this stage makes in `role`, for use as another stage's input."""
        if role not in self.outputs:
            raise DeclarationError(f"stage {self.name} makes no {role!r}; it makes: {', '.join(self.outputs)}")
        return Artifact(self.outputs[role], made_by=self.name)

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def module(self) -> str:
        """The importable name of the module that holds the function."""
        return self.function.__module__

    @property
    def metrics_path(self) -> str:
        """Where the runner writes what the function returned."""
        return f"{METRICS_DIR}/{self.name}.json"

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the stages whose outputs this one reads, in the order of its roles."""
        return tuple(dict.fromkeys(a.made_by for a in self.inputs.values() if a.made_by))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The fields of the metrics dataclass."""
        return tuple(f.name for f in fields(self.metrics))


class Pipeline:
    """Stages in an order in which they can run; iterable, and indexable by name.

    Raises:
        DeclarationError: two stages of one name, an input made by no earlier stage, or outputs that overlap.
    """

    def __init__(self, *stages: Stage) -> None:
        self._stages: dict[str, Stage] = {}
        owner: dict[PurePosixPath, str] = {}
        for stage in stages:
            if stage.name in self._stages:
                raise DeclarationError(f"two stages are called {stage.name!r}; give one of them another name")
            for artifact in stage.inputs.values():
                maker = artifact.made_by
                if maker and (maker not in self._stages or artifact.path not in self._stages[maker].outputs.values()):
                    raise DeclarationError(f"stage {stage.name} reads {artifact.path} before stage {maker} makes it")
            for path in map(PurePosixPath, (*stage.outputs.values(), stage.metrics_path)):
                for other, by in owner.items():
                    if path.is_relative_to(other) or other.is_relative_to(path):
                        raise DeclarationError(f"stages {by} and {stage.name} both write {path} ({other})")
                owner[path] = stage.name
            self._stages[stage.name] = stage

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages.values())

    def __len__(self) -> int:
        return len(self._stages)

    def __getitem__(self, name: str) -> Stage:
        if name not in self._stages:
            raise KeyError(f"no stage is called {name!r}; the stages are: {', '.join(self._stages)}")
        return self._stages[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names in running order."""
        return tuple(self._stages)

    def ancestors(self, name: str) -> frozenset[str]:
        """Every stage that `name` stands on, directly or not."""
        direct = self[name].upstream
        return frozenset(direct).union(*(self.ancestors(parent) for parent in direct))

    def descendants(self, name: str) -> frozenset[str]:
        """Every stage that stands on `name`, directly or not."""
        return frozenset(other for other in self._stages if self[name].name in self.ancestors(other))

    def select(self, *, since: str | None = None, until: str | None = None, only: str | None = None) -> tuple[str, ...]:
        """The names to consider, in running order.

        Args:
            since: this stage and all that stands on it.
            until: this stage and all that it stands on.
            only: this stage alone; excludes the other two.

        Raises:
            ValueError: `only` together with another, or a selection that is empty.
            KeyError: a name that is no stage.
        """
        if only is not None:
            if since or until:
                raise ValueError("--only stands alone; leave out --from and --until")
            return (self[only].name,)
        names = set(self._stages)
        if since is not None:
            names &= {since} | self.descendants(since)
        if until is not None:
            names &= {until} | self.ancestors(until)
        if not names:
            raise ValueError(f"no stage lies between {since!r} and {until!r}")
        return tuple(name for name in self._stages if name in names)
