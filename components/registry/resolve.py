"""From what a person types (`latest`, `candidate`, `3`, a directory) to a directory that diffusers can load."""

from pathlib import Path

INDEX = "model_index.json"


def resolve(model: str, *, uri: str, name: str, workspace_export: Path) -> Path:
    """The model's directory.

    A path to a directory is taken as it is. `latest` is the workspace's own export where there is one, which saves the
    seconds of asking MLflow; otherwise, and for an alias or a version number, the registry at `uri` is asked.

    Raises:
        ValueError: in one line, naming what there is.
    """
    if model == "latest" and (workspace_export / INDEX).is_file():
        return workspace_export
    directory = Path(model)
    if directory.is_dir():
        if not (directory / INDEX).is_file():
            raise ValueError(f"{directory} is not a model directory: {INDEX} is missing")
        return directory
    if "/" in model:
        raise ValueError(f"there is no model directory {model!r}")
    from components.registry.registration import download  # MLflow takes seconds to import: only when it is asked

    return download(model, uri=uri, name=name)
