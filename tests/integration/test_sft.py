"""`encode_sft` and `sft` on generated drawings of two pools, with a small autoencoder and the real text encoder."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file
from seen_batches import watch_batches

from components.data import latents as store
from components.data import records
from components.data.config import Buckets, DecodeLimits
from components.data.errors import DataError
from components.models.autoencoder import build_autoencoder
from components.models.config import AUTOENCODERS, DiTConfig, LoraShape
from components.models.transformer import build_transformer
from components.paths.config import TimestepDensity
from components.training.config import (
    BatchConfig,
    GridConfig,
    HeldOutConfig,
    OptimiserConfig,
    PretrainConfig,
    PriorConfig,
)
from flows.lineage.drawn import DrawnError, drawn_by
from flows.stages import encode, encode_sft, sft

PX, TEXT_DIM, SHARES = 32, 384, {"poster": 0.6, "nature": 0.4}
SHAPE = DiTConfig(24, 1, 2, 48, (4, 4, 4), 256)
LIMITS = DecodeLimits(10_000, 100_000, 100.0, (255, 255, 255))
SQUARES = Buckets(1.0, "pad")
STYLES = ("keywords", "request", "instruction", "specification")
NUM_IMAGES = 24


def png(number: int) -> bytes:
    """A square of one colour on another: flat enough that a small network learns it."""
    rng = np.random.default_rng(number)
    pixels = np.full((40, 40, 3), rng.integers(0, 256, 3), np.uint8)
    pixels[10:30, 10:30] = rng.integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pool(home: Path, name: str, first: int) -> list[str]:
    """A pool's images and catalogue in a folder of its name; returns the sample ids."""
    data = [png(first + number) for number in range(NUM_IMAGES)]
    ids = [hashlib.sha256(one).hexdigest() for one in data]
    records.write_table(pa.table([ids, data], schema=records.IMAGES), records.part_file(home / name, 0))
    place = {"width": 40, "height": 40, "shard": 0}
    rows = [{"sample_id": own, "row": row, **place} for row, own in enumerate(ids)]
    records.write_table(pa.Table.from_pylist(rows, schema=records.CATALOGUE), home / f"{name}.parquet")
    return ids


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Half of the pool "nature" was pre-trained on, the rest and all posters are new."""
    home = tmp_path_factory.mktemp("sft")
    ids = {"poster": pool(home, "rendered", 100), "nature": pool(home, "images", 0)}
    chosen = [
        {"sample_id": own, "pool": "rendered" if domain == "poster" else "catalogue", "domain": domain}
        | {"found_by": "words", "relevance": 1.0, "weight": SHARES[domain] / NUM_IMAGES}
        | {"category": "text", "style": "Noto", "concept": f"{domain}{number}"}
        for domain, of_domain in ids.items()
        for number, own in enumerate(of_domain)
    ]
    prompts = [
        {"sample_id": row["sample_id"], "style": style, "language": language, "text": f"{style} {row['concept']}"}
        for row in chosen
        for style in STYLES
        for language in ("zh", "en")
    ]
    split = ["train"] * 12 + ["heldout_cell"] * 6 + ["heldout_concept"] * 2
    selection = [
        {"sample_id": own, "category": "text", "style": "Noto", "concept": f"nature{row}", "split": name}
        | {"probability": 1 / 12 if name == "train" else 0.0}
        for row, (own, name) in enumerate(zip(ids["nature"], split, strict=False))
    ]
    captions = [
        {"sample_id": own, "kind": "short", "language": "en", "text": f"thing {row}"}
        for row, own in enumerate(ids["nature"])
    ]
    tables = {
        "sft_selection": (chosen, records.SFT_SELECTION),
        "sft_prompts": (prompts, records.SFT_PROMPTS),
        "selection": (selection, records.SELECTION),
        "captions": (captions, records.CAPTIONS),
    }
    for name, (rows, schema) in tables.items():
        records.write_table(pa.Table.from_pylist(rows, schema=schema), home / f"{name}.parquet")
    torch.manual_seed(0)
    build_autoencoder(AUTOENCODERS["embedded"]).eval().save_pretrained(home / "autoencoder")
    build_transformer(SHAPE, 32, TEXT_DIM).save_pretrained(home / "base" / "transformer")
    tables_at = {name: home / f"{name}.parquet" for name in tables}
    pools = {"images": home / "images", "catalogue": home / "images.parquet"}
    pools |= {"rendered_images": home / "rendered", "rendered_catalogue": home / "rendered.parquet"}
    return tables_at | pools | {"autoencoder": home / "autoencoder", "init": home / "base", "checked": home}


def encoded(inputs: dict[str, Path], latents: Path, **changes: object) -> encode_sft.Metrics:
    names = ("checked", "images", "catalogue", "rendered_images", "rendered_catalogue", "selection")
    paths = {name: inputs[name] for name in (*names, "sft_selection", "sft_prompts", "autoencoder")}
    settings = {"autoencoder": "embedded", "text_encoder": "minilm", "resolutions_px": (PX,), "buckets": SQUARES}
    settings |= {"prompt_language": "en", "heldout_frac": 0.25, "batch_size": 8, "limits": LIMITS, "seed": 0}
    return encode_sft.encode_sft(encode_sft.Params.model_validate(settings | changes), **paths, latents=latents)


@pytest.fixture(scope="module")
def latents(inputs: dict[str, Path]) -> tuple[Path, Path, encode_sft.Metrics]:
    """The curated set, and what was pre-trained on."""
    home = inputs["checked"]
    metrics = encoded(inputs, home / "sft_latents")
    settings = encode.Params(
        autoencoder="embedded",
        text_encoder="minilm",
        resolutions_px=(PX,),
        buckets=SQUARES,
        caption_kinds=("short",),
        caption_language="en",
        batch_size=8,
        limits=LIMITS,
    )
    names = ("checked", "images", "catalogue", "selection", "captions", "autoencoder")
    encode.encode(settings, **{name: inputs[name] for name in names}, latents=home / "latents")
    return home / "sft_latents", home / "latents", metrics


TRAINING = PretrainConfig(
    num_images=400,
    batch=BatchConfig(8, dict.fromkeys(STYLES, 1.0), 0.1),
    optimiser=OptimiserConfig(1e-2, (0.9, 0.99), 0.0, 1.0, 2, 0.5, "linear"),
    timesteps=TimestepDensity("logit_normal", 0.0, 1.0, 1.5),
    ema_decay=0.9,
    precision="32-true",
    lora=None,
    held_out=HeldOutConfig(400, 64, 0),
    grid=GridConfig(400, ("keywords nature1",), 2, 2.0, 1.5, 0),
    seed=0,
)


def tuned(
    inputs: dict[str, Path], latents: tuple[Path, Path, object], out: Path, **changes: object
) -> tuple[sft.Metrics, dict]:
    settings = {"px": PX, "init": None, "model": SHAPE, "domains": None}
    settings |= {"prior": PriorConfig(0.25, {"short": 1.0}), "training": TRAINING}
    metrics = sft.sft(
        sft.Params.model_validate(settings | changes),
        curated=latents[0],
        sft_selection=inputs["sft_selection"],
        latents=latents[1],
        autoencoder=inputs["autoencoder"],
        init=inputs["init"],
        model=out / "model",
        grids=out / "grids",
    )
    return metrics, json.loads((out / "model" / "training.json").read_text())


def test_the_set_is_encoded_with_four_prompts_an_image_and_a_part_held_out(
    inputs: dict[str, Path], latents: tuple[Path, Path, encode_sft.Metrics]
) -> None:
    curated, _, metrics = latents
    (of_px,) = store.read_buckets(curated, PX).values()
    assert set(of_px.captions) == set(STYLES)
    chosen = records.read_table(inputs["sft_selection"], records.SFT_SELECTION).to_pylist()
    assert of_px.rows["sample_id"].to_pylist() == [row["sample_id"] for row in chosen]
    for style in STYLES:
        texts = [of_px.prompts[text] for text in of_px.captions[style]]
        assert texts == [f"{style} {row['concept']}" for row in chosen]
    split = of_px.rows["split"].to_pylist()
    assert split.count("heldout_poster") == split.count("heldout_nature") == NUM_IMAGES // 4
    assert metrics.held_out_images == NUM_IMAGES // 2
    assert metrics.encoded_images == 2 * NUM_IMAGES
    assert metrics.encoded_texts == 1 + 8 * NUM_IMAGES
    # What pre-training drew is in training here too.
    seen = records.read_table(inputs["selection"], records.SELECTION).to_pylist()
    trained = {row["sample_id"] for row in seen if row["probability"] > 0}
    ids = of_px.rows["sample_id"].to_pylist()
    assert trained.isdisjoint(name for name, one in zip(ids, split, strict=True) if one != "train")
    masses = dict.fromkeys(SHARES, 0.0)
    for p, row in zip(of_px.probabilities, chosen, strict=True):
        masses[row["domain"]] += float(p)
    assert masses == pytest.approx(SHARES)


def test_latents_are_those_of_the_pool_that_an_image_lies_in(
    inputs: dict[str, Path], latents: tuple[Path, Path, encode_sft.Metrics]
) -> None:
    curated, earlier = (store.read_latents(folder, PX) for folder in latents[:2])
    rows = {name: row for row, name in enumerate(curated.rows["sample_id"].to_pylist())}
    for row, name in enumerate(earlier.rows["sample_id"].to_pylist()):
        difference = curated.latents[np.array([rows[name]])] - earlier.latents[np.array([row])]
        assert np.abs(difference).max() < 4e-3  # float16, and other images in the batch


def test_every_domain_becomes_better_and_the_record_tells_before_and_after(
    inputs: dict[str, Path], latents: tuple[Path, Path, encode_sft.Metrics], tmp_path: Path
) -> None:
    metrics, record = tuned(inputs, latents, tmp_path)
    before, after = record["held_out_loss_before"], record["held_out_loss"]
    domains = [f"heldout_{domain}" for domain in SHARES]
    assert metrics.images_seen == 400
    assert metrics.domain_loss_before == pytest.approx(sum(before[name] for name in domains) / 2)
    assert metrics.worst_domain_ratio == max(after[name] / before[name] for name in domains) < 1
    assert metrics.prior_loss_after == pytest.approx((after["prior/heldout_cell"] + after["prior/heldout_concept"]) / 2)
    assert record["prior"] == {"frac": 0.25, "caption_weights": {"short": 1.0}}
    assert {file.name for file in (tmp_path / "grids").iterdir()} == {"000000000.png", "000000400.png"}


def test_an_expert_is_an_adapter_on_the_base_trained_on_its_domain_alone(
    inputs: dict[str, Path], latents: tuple[Path, Path, encode_sft.Metrics], tmp_path: Path
) -> None:
    training = replace(TRAINING, lora=LoraShape(4, 8, ("to_q", "to_v", "to_out.0")))
    no_prior = PriorConfig(0.0, {"short": 1.0})
    metrics, record = tuned(inputs, latents, tmp_path, domains=("poster",), prior=no_prior, training=training)
    assert record["domains"] == ["poster"]
    before, after = record["held_out_loss_before"], record["held_out_loss"]
    assert metrics.worst_domain_ratio == after["heldout_poster"] / before["heldout_poster"]
    assert "heldout_nature" in after
    assert "other_domains" in after
    base = load_file(inputs["init"] / "transformer" / "diffusion_pytorch_model.safetensors")
    merged = load_file(tmp_path / "model" / "transformer" / "diffusion_pytorch_model.safetensors")
    changed = {name for name, weight in merged.items() if not torch.equal(weight, base[name])}
    assert all(any(layer in name for layer in ("to_q", "to_v", "to_out.0")) for name in changed)
    assert (tmp_path / "model" / "lora" / "pytorch_lora_weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domains": ("portrait",)}, r"domains names 'portrait', .* \(there: nature, poster\)"),
        (
            {"training": replace(TRAINING, batch=BatchConfig(8, {"riddle": 1.0}, 0.1))},
            r"caption_weights names \['riddle'\], but",
        ),
        ({"prior": PriorConfig(0.25, {"long": 1.0})}, r"caption_weights names \['long'\], but"),
        ({"px": 64}, r"no latents at 64 px \(there: 32\)"),
        ({"model": replace(SHAPE, num_layers=2)}, "num_layers 1, not 2"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    inputs: dict[str, Path],
    latents: tuple[Path, Path, encode_sft.Metrics],
    tmp_path: Path,
    changes: dict[str, object],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=said) as found:
        tuned(inputs, latents, tmp_path, **changes)
    assert "\n" not in str(found.value)


def test_no_domains_and_a_prior_that_is_no_share_are_refused_before_any_work(inputs: dict[str, Path]) -> None:
    settings = {"px": PX, "init": None, "model": SHAPE, "training": TRAINING}
    with pytest.raises(ValidationError, match="domains"):
        sft.Params.model_validate(settings | {"domains": (), "prior": PriorConfig(0.25, {"short": 1.0})})
    with pytest.raises(ValidationError, match=r"prior\.frac is a share of the steps"):
        sft.Params.model_validate(settings | {"domains": None, "prior": {"frac": 1.0, "caption_weights": {"short": 1}}})


def test_a_set_without_prompts_in_the_language_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    records.write_table(records.SFT_PROMPTS.empty_table(), tmp_path / "sft_prompts.parquet")
    with pytest.raises(DataError, match=r"48 of 48 images have no caption of kind keywords .*; run the stage that"):
        encoded(inputs | {"sft_prompts": tmp_path / "sft_prompts.parquet"}, tmp_path / "latents")


@pytest.mark.parametrize("domains", [None, ("poster",)])
def test_what_it_drew_is_what_its_files_tell(
    inputs: dict[str, Path],
    latents: tuple[Path, Path, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    domains: tuple[str, ...] | None,
) -> None:
    seen = watch_batches(monkeypatch)
    tuned(inputs, latents, tmp_path, domains=domains, training=replace(TRAINING, num_images=16))
    params = sft.Params.model_validate(
        {"px": PX, "init": None, "model": SHAPE, "domains": domains, "prior": PriorConfig(0.25, {"short": 1.0})}
        | {"training": TRAINING}
    )
    paths = {"curated": latents[0], "latents": latents[1], "sft_selection": inputs["sft_selection"]}
    found = drawn_by("sft", params, paths, tmp_path / "model")
    assert found is not None
    assert found.drawn == seen
    assert found.drawn < found.offered
    assert found.held_out.isdisjoint(found.offered)
    other = params.model_copy(update={"domains": None if domains else ("poster",)})
    with pytest.raises(DrawnError, match="another order of samples"):
        drawn_by("sft", other, paths, tmp_path / "model")
