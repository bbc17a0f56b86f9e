"""The first weights of a training, from a folder or from the Hub: shard by shard, into a network that holds none yet.

The network is built on the meta device, so memory stays near one copy of it and one tensor. Folders are those that
diffusers saves: `config.json` beside one safetensors file, or beside several with an index. Nothing else is read.
"""

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ErnieImageTransformer2DModel
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from components.models.config import DirectoryWeights, DiTConfig, HubWeights, InitialWeights
from components.models.transformer import build_transformer

SUBFOLDER = "transformer"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
INDEX_FILE = f"{WEIGHTS_FILE}.index.json"
PATTERNS = [f"{SUBFOLDER}/config.json", f"{SUBFOLDER}/{INDEX_FILE}", f"{SUBFOLDER}/*.safetensors"]


class InitialWeightsError(ValueError):
    """The weights to start from cannot be had or do not fit; one line says what, where and what to do."""


def initial_directory(weights: InitialWeights) -> Path:
    """The folder with the transformer's `config.json`, downloaded first if it is on the Hub and not in the cache.

    Raises:
        InitialWeightsError: there is none, it is not the one that was pinned, or the Hub does not hand it out.
    """
    if isinstance(weights, HubWeights):
        return download(weights)
    directory = transformer_directory(Path(weights.directory))
    _check_digest(directory, weights)
    return directory


def transformer_directory(directory: Path) -> Path:
    """`directory` or its sub-folder `transformer`, whichever holds a configuration."""
    for folder in (directory, directory / SUBFOLDER):
        if (folder / "config.json").is_file():
            return folder
    raise InitialWeightsError(
        f"{directory}: no config.json there nor in {SUBFOLDER}/; name a folder that diffusers saved"
    )


def download(weights: HubWeights, *, cache: Path | None = None, endpoint: str | None = None) -> Path:
    """The local snapshot of a model's transformer at its commit: configuration and safetensors, nothing else.

    Raises:
        InitialWeightsError: no such model or commit, no right to it, no network, or look-ups are switched off.
    """
    name, revision = f"{weights.repo} at {weights.revision[:12]}", weights.revision
    fetch = f"`hf download {weights.repo} --revision {revision} --include '{SUBFOLDER}/*'`"
    try:
        snapshot = snapshot_download(
            weights.repo, revision=revision, allow_patterns=PATTERNS, cache_dir=cache, endpoint=endpoint
        )
    except GatedRepoError:
        raise InitialWeightsError(
            f"{name}: its owner grants access one by one; accept its terms on the Hub, then set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise InitialWeightsError(f"{name}: the Hub has no such commit; its page lists them under `History`") from None
    except RepositoryNotFoundError:
        raise InitialWeightsError(f"{name}: not on the Hub, or private; check the name, or set HF_TOKEN") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, IncompleteSnapshotError):
        why = "look-ups are switched off (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else "the Hub gives no answer"
        raise InitialWeightsError(f"{name}: not in the local cache, and {why}; run {fetch} first") from None
    except (HfHubHTTPError, OSError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise InitialWeightsError(f"{name}: the Hub did not hand it out ({told[0]:.100}); run {fetch}") from None
    return transformer_directory(Path(snapshot))


def directory_sha256(directory: Path) -> str:
    """What identifies the transformer in `directory`: SHA-256 over its configuration and its shards."""
    digests: list[str] = []
    for file in [directory / "config.json", *shard_files(directory)]:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _check_digest(directory: Path, weights: DirectoryWeights) -> None:
    found = directory_sha256(directory)
    if found != weights.sha256:
        raise InitialWeightsError(f"{directory}: its SHA-256 is {found}, not {weights.sha256}; pin the one you mean")


def shard_files(directory: Path) -> list[Path]:
    """The weight files of a folder, in the order of their names; every one exists."""
    index = directory / INDEX_FILE
    names = {WEIGHTS_FILE}
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            raise InitialWeightsError(f"{index}: no index of shards; copy the folder again") from None
        if wrong := sorted(name for name in names if Path(name).name != name or not name.endswith(".safetensors")):
            raise InitialWeightsError(f"{index}: names {wrong[0]!r}, which is no safetensors file of this folder")
    if missing := sorted(name for name in names if not (directory / name).is_file()):
        raise InitialWeightsError(f"{directory}: {missing[0]} is missing ({len(missing)} of {len(names)} files)")
    return sorted(directory / name for name in names)


def load_initial(
    directory: Path, config: DiTConfig, in_channels: int, text_in_dim: int, dtype: torch.dtype = torch.float32
) -> ErnieImageTransformer2DModel:
    """The transformer saved in `directory`, in `dtype` and in training mode, if it has the shape of `config`.

    Raises:
        InitialWeightsError: another shape (the fields are named), a weight missing or too many, a broken file.
    """
    with torch.device("meta"):
        network = build_transformer(config, in_channels, text_in_dim)
    check_shape(directory, network)
    waiting = dict(network.named_parameters())
    for file in shard_files(directory):
        try:
            with safe_open(file, framework="pt", device="cpu") as shard:
                for name in shard.keys():  # noqa: SIM118 - the file is no mapping
                    _place(network, file, name, shard.get_tensor(name).to(dtype, copy=True), waiting)
        except (SafetensorError, OSError) as error:
            raise InitialWeightsError(f"{file}: not a whole safetensors file ({error}); copy it again") from None
    if waiting:
        raise InitialWeightsError(f"{directory}: {len(waiting)} weights are missing, such as {min(waiting)}")
    return network.train()


def check_shape(directory: Path, network: ErnieImageTransformer2DModel) -> None:
    """What the folder's configuration does not say is what diffusers takes then: its defaults."""
    file = directory / "config.json"
    try:
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InitialWeightsError(f"{file}: missing or not JSON; copy it again") from None
    defaults = {name: p.default for name, p in inspect.signature(ErnieImageTransformer2DModel).parameters.items()}
    wanted = {name: value for name, value in json.loads(network.to_json_string()).items() if name[0] != "_"}
    there = {name: found.get(name, json.loads(json.dumps(defaults.get(name)))) for name in wanted}
    if different := [f"{name} {there[name]}, not {wanted[name]}" for name in wanted if there[name] != wanted[name]]:
        raise InitialWeightsError(
            f"{file}: {'; '.join(different)}: make this stage's `model` and encoders agree with it"
        )


def _place(network: nn.Module, file: Path, name: str, tensor: Tensor, waiting: dict[str, nn.Parameter]) -> None:
    """Put one weight where the network waits for it."""
    if name not in waiting:
        raise InitialWeightsError(f"{file}: holds {name!r}, which this network does not have, or has already")
    wanted = waiting.pop(name)
    if tensor.shape != wanted.shape:
        raise InitialWeightsError(f"{file}: {name} has the shape {tuple(tensor.shape)}, not {tuple(wanted.shape)}")
    owner, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(owner), leaf, nn.Parameter(tensor))
