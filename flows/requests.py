"""What a person may ask to have drawn: with which model, at what size, from which seed."""

from pathlib import Path

from flows import settings

# For each family of models its registered name and the workspace's own export.
FAMILIES = {
    "": ("easel", Path("artifacts/export")),
    "turbo": ("easel-turbo", Path("artifacts/export_turbo")),
}
MIN_SIDE_PX, MAX_SIDE_PX, SIDE_STEP_PX = 16, 1024, 16


def model_directory(root: Path, model: str) -> Path:
    """The folder of the model that a person calls `model`, as `resolve` finds it."""
    from components.registry.resolve import resolve

    name, export, version = family_of(model)
    return resolve(version, uri=settings.tracking_uri(root), name=name, workspace_export=root / export)


def family_of(model: str) -> tuple[str, Path, str]:
    """Registered name, export in the workspace, and the version: `turbo`, `turbo:3`, `turbo:candidate` are Turbo's.

    So is `easel-turbo:3`, as the registry calls it. Anything else is a version of the model that draws with guidance,
    or a directory, as `resolve` says.
    """
    family, mark, version = model.partition(":")
    for short, (name, export) in FAMILIES.items():
        if (short and family == short) or (mark and family == name):
            return name, export, version or "latest"
    return *FAMILIES[""], model


def check_size(width: int, height: int) -> None:
    """ValueError, in one line, for a size that no picture has."""
    for name, side in (("width", width), ("height", height)):
        if side % SIDE_STEP_PX or not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
            raise ValueError(
                f"{name} {side} is not possible; give a multiple of {SIDE_STEP_PX} from {MIN_SIDE_PX} to {MAX_SIDE_PX}"
            )


def check_seed(seed: int) -> None:
    """ValueError, in one line, for a seed that no generator takes."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be between 0 and 2^63 - 1, got {seed}")
