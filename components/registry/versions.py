"""What the registry says of every version of a model: its number, its live aliases, and the tags it was made with."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class Told:
    """One version, the aliases that point to it now, and its tags."""

    name: str
    number: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


def versions_of(uri: str, name: str) -> list[Told]:
    """Every version of the registered model `name`, oldest first; empty if there is no such model.

    Raises:
        ConnectionError: the registry does not answer.
    """
    client = MlflowClient(uri)
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise ConnectionError(f"{uri} did not answer: {str(error).splitlines()[0][:200]}") from None
        return []
    held = dict[int, list[str]]()
    for alias, number in aliases.items():
        held.setdefault(int(number), []).append(alias)
    found = client.search_model_versions(f"name = '{name}'")
    told = [Told(name, int(one.version), tuple(sorted(held.get(int(one.version), ()))), one.tags) for one in found]
    return sorted(told, key=lambda one: one.number)
