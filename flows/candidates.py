"""What the chain drew for a prompt when it looked for preferences, as files that people can vote on."""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.pipeline import PREFERENCES

if TYPE_CHECKING:
    import pyarrow as pa


def prompts(root: Path) -> dict[str, int]:
    """The prompts that candidates were drawn for, in that order, with the number of different images of each.

    Raises:
        ValueError: nothing has been drawn yet.
    """
    found: dict[str, int] = {}
    for prompt in _table(root).column("prompt").to_pylist():
        found[prompt] = found.get(prompt, 0) + 1
    return found


def write_candidates(root: Path, prompt: str, output: Path) -> int:
    """Write the candidates of `prompt` into a new folder, byte for byte, so that votes on them name them; how many.

    Raises:
        ValueError: in one line: no such prompt, or the folder is there already.
    """
    import pyarrow.parquet as pq

    table = _table(root)
    wanted = [row["sample_id"] for row in table.to_pylist() if row["prompt"] == prompt]
    if not wanted:
        raise ValueError(f"nothing was drawn for {prompt!r}; `easel candidates` names the prompts there are")
    if output.exists():
        raise ValueError(f"{output}: is there already; name a new folder")
    folder = root / PREFERENCES.outputs["candidate_images"]
    images = pq.read_table(folder, columns=["sample_id", "bytes"], filters=[("sample_id", "in", wanted)])
    output.mkdir(parents=True)
    for image in images.to_pylist():
        (output / f"{image['sample_id']}.png").write_bytes(image["bytes"])
    return images.num_rows


def _table(root: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    file = root / PREFERENCES.outputs["candidates"]
    if not file.is_file():
        raise ValueError(f"{file}: nothing has been drawn yet; `easel run --until preferences` draws candidates")
    return pq.read_table(file, columns=["sample_id", "prompt"])
