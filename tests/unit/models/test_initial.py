"""Weights from a folder or the Hub: equal to what was saved, one copy in memory, one line for what is wrong."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from diffusers import ErnieImageTransformer2DModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch.profiler import ProfilerActivity, profile

from components.models.config import DirectoryWeights, DiTConfig, HubWeights
from components.models.initial import (
    INDEX_FILE,
    WEIGHTS_FILE,
    InitialWeightsError,
    directory_sha256,
    download,
    initial_directory,
    load_initial,
    shard_files,
)
from components.models.transformer import build_transformer

CONFIG = DiTConfig(24, 2, 2, 48, (4, 4, 4), 256)
SHAPE = (CONFIG, 8, 10)
MODEL = HubWeights("somebody/some-model", "0123456789abcdef0123456789abcdef01234567")


@pytest.fixture(scope="module")
def saved() -> ErnieImageTransformer2DModel:
    torch.manual_seed(0)
    return build_transformer(*SHAPE)


@pytest.fixture
def whole(saved, tmp_path) -> Path:
    """A pipeline's folder with the transformer in one file."""
    saved.save_pretrained(tmp_path / "pipeline" / "transformer")
    return tmp_path / "pipeline" / "transformer"


@pytest.fixture
def sharded(saved, tmp_path) -> Path:
    saved.save_pretrained(tmp_path / "sharded", max_shard_size="10KB")
    return tmp_path / "sharded"


def assert_same(loaded, saved, dtype=torch.float32):
    for name, weight in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.to(dtype)), name


def test_one_file_gives_what_was_saved_and_what_diffusers_loads(whole, saved):
    loaded = load_initial(whole, *SHAPE)
    assert_same(loaded, saved)
    assert_same(loaded, ErnieImageTransformer2DModel.from_pretrained(whole))
    assert loaded.training
    assert all(weight.requires_grad and weight.is_leaf for weight in loaded.parameters())


def test_shards_give_what_was_saved(sharded, saved):
    assert len(shard_files(sharded)) > 3
    assert_same(load_initial(sharded, *SHAPE), saved)


def test_the_weights_come_in_the_precision_that_was_asked_for(sharded, saved):
    assert_same(load_initial(sharded, *SHAPE, dtype=torch.bfloat16), saved, torch.bfloat16)


def test_training_on_them_leaves_the_files_alone(whole):
    before = directory_sha256(whole)
    loaded = load_initial(whole, *SHAPE)
    with torch.no_grad():
        for weight in loaded.parameters():
            weight.add_(1)
    assert directory_sha256(whole) == before


def test_memory_stays_near_one_copy(tmp_path):
    config = DiTConfig(96, 8, 4, 384, (8, 8, 8), 256)
    build_transformer(config, 8, 10).save_pretrained(tmp_path, max_shard_size="1MB")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        loaded = load_initial(tmp_path, config, 8, 10)
    results = measured.profiler.kineto_results  # type: ignore[union-attr]
    moves = sorted((e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]")
    held = peak = 0
    for _, size in moves:
        held += size
        peak = max(peak, held)
    size = sum(weight.nbytes for weight in loaded.parameters())
    largest = max(weight.nbytes for weight in loaded.parameters())
    assert size <= peak <= size + 3 * largest


def test_a_missing_shard_is_named(sharded):
    shard_files(sharded)[1].unlink()
    with pytest.raises(InitialWeightsError, match=r"00002-of-.*\.safetensors is missing"):
        load_initial(sharded, *SHAPE)


def test_a_torn_shard_is_named(sharded):
    torn = shard_files(sharded)[0]
    torn.write_bytes(torn.read_bytes()[:-10])
    with pytest.raises(InitialWeightsError, match=r"00001-of-.*not a whole safetensors file"):
        load_initial(sharded, *SHAPE)


def test_a_broken_index_is_named(sharded):
    index = json.loads((sharded / INDEX_FILE).read_text())
    index["weight_map"]["x"] = "../elsewhere.safetensors"
    (sharded / INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(InitialWeightsError, match=r"'\.\./elsewhere"):
        load_initial(sharded, *SHAPE)
    (sharded / INDEX_FILE).write_text("{}")
    with pytest.raises(InitialWeightsError, match="no index"):
        load_initial(sharded, *SHAPE)


def test_another_shape_names_the_fields_that_differ(whole):
    with pytest.raises(InitialWeightsError, match=r"hidden_size 24, not 48; .*num_layers 2, not 3"):
        load_initial(whole, DiTConfig(48, 3, 4, 96, (4, 4, 4), 256), 8, 10)
    with pytest.raises(InitialWeightsError, match=r"in_channels 8, not 16; .*text_in_dim 10, not 12"):
        load_initial(whole, CONFIG, 16, 12)


def test_a_weight_of_another_shape_missing_or_too_many_is_named(whole):
    weights = load_file(whole / WEIGHTS_FILE)
    name = "layers.1.mlp.up_proj.weight"
    for change, said in [
        ({name: torch.zeros(48, 23)}, rf"{name} has the shape \(48, 23\), not \(48, 24\)"),
        ({"layers.2.extra": torch.zeros(1)}, "holds 'layers.2.extra'"),
        ({name: None}, f"1 weights are missing, such as {name}"),
    ]:
        changed = {key: value for key, value in (weights | change).items() if value is not None}
        save_file(changed, whole / WEIGHTS_FILE)
        with pytest.raises(InitialWeightsError, match=said):
            load_initial(whole, *SHAPE)


def test_a_folder_is_pinned_by_what_it_holds(whole, sharded):
    assert initial_directory(DirectoryWeights(str(whole.parent), directory_sha256(whole))) == whole
    with pytest.raises(InitialWeightsError, match=f"its SHA-256 is {directory_sha256(whole)}, not 00"):
        initial_directory(DirectoryWeights(str(whole), "00"))
    assert directory_sha256(whole) != directory_sha256(sharded)
    with pytest.raises(InitialWeightsError, match=r"no config\.json"):
        initial_directory(DirectoryWeights(str(whole.parents[1] / "nowhere"), "00"))


def test_a_branch_is_no_identity():
    with pytest.raises(ValueError, match="40 hexadecimal digits of a commit, got 'main'"):
        HubWeights("somebody/some-model", "main")


@contextmanager
def hub(status: int, code: str) -> Iterator[str]:
    """A Hub that answers everything in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the name of the base class

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "RepoNotFound", "not on the Hub, or private"),
        (404, "RevisionNotFound", "no such commit"),
        (403, "GatedRepo", "accept its terms"),
    ],
)
def test_what_the_hub_refuses_is_one_line(tmp_path, monkeypatch, status, code, said):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub(status, code) as endpoint, pytest.raises(InitialWeightsError, match=said) as caught:
        download(MODEL, cache=tmp_path, endpoint=endpoint)
    assert "\n" not in str(caught.value)


def test_without_an_answer_the_line_says_how_to_fetch_it(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with (
        hub(400, "") as endpoint,
        pytest.raises(InitialWeightsError, match="gives no answer; run `hf download somebody/some-model"),
    ):
        download(MODEL, cache=tmp_path, endpoint=endpoint)


def test_offline_the_cache_is_used_and_nothing_asked(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InitialWeightsError, match=r"switched off \(HF_HUB_OFFLINE\); run `hf download"):
        download(MODEL, cache=tmp_path / "cache")
    snapshot = tmp_path / "cache" / "models--somebody--some-model" / "snapshots" / MODEL.revision
    shutil.copytree(whole, snapshot / "transformer")
    assert download(MODEL, cache=tmp_path / "cache") == snapshot / "transformer"
