"""The evaluate stage on generated drawings, with three tiny random networks and the real image features."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageDraw

from components.data import latents as store
from components.data.buckets import Bucket
from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.data.records import CAPTIONS, CATALOGUE, IMAGES, SELECTION, part_file, write_table
from components.data.top_down.config import FontChoice, Lettering
from components.enhancer.decoding import Writer
from components.evaluation.config import RetrievalConfig
from components.evaluation.held_out import read_prompts
from components.evaluation.lettering import WORDS
from components.models.aes_config import AesBackbone
from components.models.aes_model import AesModel, save_aes
from components.models.autoencoder import autoencoder_sha256, build_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig
from components.models.image_features import ImageFeatures, extract
from components.models.linear_probe import LinearProbe, fit_preference, fit_probe, save_probe
from components.models.score_head import CLASSES, LEVELS
from components.models.text_encoder import TEXT_DIM, TextEncoder
from components.models.transformer import build_transformer
from components.samplers.config import SamplingConfig
from components.tracking import open_run
from flows.stages.evaluate import Metrics, Params, evaluate
from tests.integration.enhancers import make_enhancer

STYLES, CATEGORIES, PX = ("outline", "filled"), ("food", "animals"), 32
FEW = {
    "distilled": {"num_steps": 3, "guidance_scale": 1.0, "rollout": "euler"},
    "training": {"committee": {"experts": ["general"]}},
}
LOOKS = [
    {"images_seen": seen, "student_updates": seen // 64, "reason": ""}
    | {"student/<b>/alignment": 0.2 * share, "teacher/<b>/alignment": 0.2, "drift/<b>/alignment": share}
    for seen, share in ((0, 0.5), (320, 0.8), (640, 0.97), (960, 0.9))
]
SPLITS = ["train"] * 40 + ["heldout_cell"] * 12 + ["heldout_concept"] * 12


def drawing(number: int, style: str, category: str) -> np.ndarray:
    """A disc for food, a square for an animal, at a size and colour of its own."""
    draw = np.random.default_rng(number)
    image = Image.new("RGB", (48, 48), "white")
    colour = tuple(int(level) for level in draw.integers(0, 200, 3))
    box = [int(v) for v in (*draw.integers(2, 14, 2), *draw.integers(30, 46, 2))]
    shape = ImageDraw.Draw(image).ellipse if category == "food" else ImageDraw.Draw(image).rectangle
    shape(box, fill=colour if style == "filled" else None, outline=colour, width=3)
    return np.asarray(image)


def png(image_u8: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_u8).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("evaluate")
    labels = [(STYLES[i % 2], CATEGORIES[i // 2 % 2]) for i in range(len(SPLITS))]
    pixels = [drawing(i, *label) for i, label in enumerate(labels)]
    data = [png(image) for image in pixels]
    ids = [hashlib.sha256(item).hexdigest() for item in data]
    (root / "images").mkdir()
    write_table(pa.table([ids, data], schema=IMAGES), part_file(root / "images", 0))
    rows = [
        {"sample_id": own, "style": style, "category": category, "concept": f"c{i}", "split": split}
        | {"probability": 1 / 40 if split == "train" else 0.0}
        for i, (own, (style, category), split) in enumerate(zip(ids, labels, SPLITS, strict=True))
    ]
    selection = pa.Table.from_pylist(rows, schema=SELECTION)
    captions = [
        {"sample_id": own, "kind": "sentence", "language": "en", "text": f"{category} {i}, {style} <style>"}
        for i, (own, (style, category)) in enumerate(zip(ids, labels, strict=True))
    ]
    links, prompts = store.link_captions(selection, pa.Table.from_pylist(captions, schema=CAPTIONS), ["sentence"], "en")
    draw = np.random.default_rng(0)
    store.write_latents(root / "latents", PX, draw.normal(size=(len(rows), 16, 2, 2)).astype(np.float16))
    states = [one.numpy().astype(np.float16) for one in TextEncoder.load()(prompts)]
    store.write_texts(root / "latents", links, prompts, store.pack_texts(states))
    store.write_rows(root / "latents", selection)
    credits = [dict.fromkeys(CATALOGUE.names) | {"sample_id": own, "attribution": "Made <here>"} for own in ids]
    write_table(pa.Table.from_pylist(credits, schema=CATALOGUE), root / "catalogue.parquet")

    features = extract(ImageFeatures(PX, "fp32"), np.stack([image[:32, :32] for image in pixels]))
    for name, column in (("style", 0), ("category", 1)):
        probe = fit_probe(features, [label[column] for label in labels], l2=0.1)
        save_probe(probe, root / "classifier", name, {"px": PX, "precision": "fp32"})
    scorer = fit_preference(features, [features[::-1] + draw.normal(size=features.shape)], l2=0.1)
    save_probe(scorer, root / "scorer", "aesthetic", {})
    weight = draw.normal(size=(LEVELS, features.shape[1])).astype(np.float32)
    head = LinearProbe(CLASSES, weight, np.zeros(LEVELS, np.float32))
    backbone = AesBackbone("lite0", None, None, PX)
    save_aes(AesModel(backbone, head, "labels are a PROXY <b>", {"is_proxy": True}), root / "aes")
    torch.manual_seed(0)
    build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4)).save_pretrained(root / "autoencoder")
    layout = store.Layout(autoencoder_sha256(root / "autoencoder"), "pad", {PX: [Bucket(PX, PX)]})
    store.write_layout(root / "latents", layout)
    for name in ("base", "sft", "dpo", "turbo"):
        network = build_transformer(DiTConfig(32, 1, 2, 48, (4, 6, 6), 256), 16, TEXT_DIM)
        for weight in network.parameters():  # of those that it begins with, some are 0 and keep it from reading texts
            torch.nn.init.normal_(weight, std=0.1)
        network.save_pretrained(root / name / "transformer")
        (root / name / "training.json").write_text(json.dumps({"px": PX, "shift": 2.0, "images_seen": 640}))
    record = json.loads((root / "turbo" / "training.json").read_text()) | FEW | {"looks": LOOKS}
    (root / "turbo" / "training.json").write_text(json.dumps(record))
    names = ("base", "sft", "dpo", "turbo", "autoencoder", "latents", "images", "classifier", "scorer", "aes")
    return {name: root / name for name in names} | {"catalogue": root / "catalogue.parquet"}


PARAMS = Params(
    caption_kind="sentence",
    num_prompts=10,
    drawings_per_prompt=2,
    num_enhanced_prompts=10,
    num_text_prompts=3,
    num_examples=3,
    num_reference_images=30,
    num_axes=8,
    sampling=SamplingConfig(num_sampling_steps=2, guidance_scale=2.0, batch_size=4),
    retrieval=RetrievalConfig(8, 20, 16, 1e-2, 0.0, 0.1),
    judges={"alignment": 1.0, "aesthetic_proxy": 0.5},
    lettering=Lettering(64, ("sign",), 4.5, (FontChoice("DejaVuSans-Bold.ttf", 0, None, True),), ()),
    limits=DecodeLimits(max_pixels=10_000, max_bytes=100_000, max_ratio=100.0),
    seed=0,
)


@pytest.fixture(scope="module")
def evaluated(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    report = tmp_path_factory.mktemp("out") / "report"
    return report, evaluate(PARAMS, **inputs, report=report)


def stored(report: Path) -> dict[str, Any]:
    return json.loads((report / "report.json").read_text())


def rows_of(content: dict[str, Any]) -> dict[tuple[str, str, str], Any]:
    return {(row["split"], row["model"], row["key"]): row for row in content["rows"]}


def test_metrics_are_those_of_the_last_model_and_of_its_steps_over_the_others(evaluated: tuple[Path, Metrics]) -> None:
    content, metrics = stored(evaluated[0]), evaluated[1]
    rows = rows_of(content)
    assert len(rows) == 3 * 4 * 9 + 4 * 2
    assert content["models"] == ["base", "sft", "dpo", "turbo"]
    assert metrics.evaluated_images == 4 * (20 * 2 + 3)
    assert metrics.cell_style_accuracy == rows["heldout_cell", "turbo", "style_accuracy"]["value"]
    assert metrics.concept_lite0_frechet == rows["heldout_concept", "turbo", "lite0_frechet"]["value"]
    assert metrics.dpo_aes == rows["heldout", "dpo", "aes"]["value"]
    assert 0 < rows["heldout", "dpo", "aes"]["value"] < 100
    assert metrics.sft_lite0_kernel == rows["heldout", "sft", "lite0_kernel"]["value"]
    assert metrics.sft_alignment == rows["heldout", "sft", "alignment"]["value"]
    assert metrics.dpo_alignment == rows["heldout", "dpo", "alignment"]["value"]
    assert metrics.all_alignment == rows["heldout", "turbo", "alignment"]["value"]
    assert metrics.lite0_frechet_dpo_to_sft == pytest.approx(metrics.dpo_lite0_frechet / metrics.sft_lite0_frechet)
    assert metrics.lite0_frechet_turbo_to_dpo == pytest.approx(metrics.all_lite0_frechet / metrics.dpo_lite0_frechet)
    assert metrics.win_rate_dpo_over_sft_low < metrics.win_rate_dpo_over_sft < metrics.win_rate_dpo_over_sft_high
    assert metrics.win_rate_turbo_over_dpo_low < metrics.win_rate_turbo_over_dpo < metrics.win_rate_turbo_over_dpo_high
    for (_, model, _), row in rows.items():
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["difference"] is None) == (model == "base")


def test_real_images_score_above_those_of_an_untrained_network(evaluated: tuple[Path, Metrics]) -> None:
    for row in stored(evaluated[0])["rows"]:
        if row["key"] in ("lite0_frechet", "lite0_kernel", "edit_distance"):
            assert row["real"] < row["value"]
        if row["key"] in ("style_accuracy", "category_accuracy"):
            assert row["real"] > 0.8 > row["value"]


def test_equal_models_draw_equal_images_and_are_told_apart_by_nothing(inputs: dict[str, Path], tmp_path: Path) -> None:
    same = inputs | {name: inputs["base"] for name in ("sft", "dpo", "turbo")}
    metrics = evaluate(PARAMS, **same, report=tmp_path / "report")
    differences = [row["difference"] for row in stored(tmp_path / "report")["rows"] if row["difference"]]
    assert len(differences) == 3 * (3 * 9 + 2)
    assert {difference["verdict"] for difference in differences} == {"no difference beyond noise"}
    assert {difference["value"] for difference in differences} == {0}
    rates = stored(tmp_path / "report")["win_rates"]
    assert [(rate["share"], rate["num_ties"], rate["num_prompts"]) for rate in rates] == [(0.5, 40, 20)] * 3
    assert metrics.alignment_dpo_to_sft == metrics.lite0_frechet_sft_to_base == metrics.alignment_turbo_to_dpo == 1


def test_a_distilled_model_is_drawn_as_it_says_and_its_drift_is_shown(evaluated: tuple[Path, Metrics]) -> None:
    content = stored(evaluated[0])
    assert {cost["model"]: cost["num_evaluations"] for cost in content["costs"]} == {
        "base": 4,
        "sft": 4,
        "dpo": 4,
        "turbo": 3,
    }
    assert content["facts"]["prompts seen by turbo"] == 640
    drift = {"domain": "<b>", "measure": "alignment", "student": 0.2 * 0.97, "teacher": 0.2, "ratio": 0.97}
    assert content["drift"] == [drift]
    page = (evaluated[0] / "index.html").read_text()
    assert "Drift of the few-step model" in page
    assert "33.3 times fewer than the 100 of 50 steps with guidance" in page
    assert "<td>&lt;b&gt;</td>" in page


def test_the_first_drawing_does_not_depend_on_what_else_is_drawn(
    inputs: dict[str, Path], evaluated: tuple[Path, Metrics], tmp_path: Path
) -> None:
    fewer = PARAMS.model_copy(update={"drawings_per_prompt": 1, "num_text_prompts": 0})
    evaluate(fewer, **inputs, report=tmp_path / "report")
    one, two = stored(tmp_path / "report"), stored(evaluated[0])
    assert one["rows"] == [row for row in two["rows"] if row["key"] != "diversity" and row["split"] != "rendered_text"]
    assert [rate["num_drawings"] for rate in one["win_rates"] + two["win_rates"]] == [1] * 3 + [2] * 3


def test_the_same_seed_gives_the_same_report(
    inputs: dict[str, Path], evaluated: tuple[Path, Metrics], tmp_path: Path
) -> None:
    again = evaluate(PARAMS, **inputs, report=tmp_path / "report")
    assert again == evaluated[1]
    assert (tmp_path / "report" / "report.json").read_text() == (evaluated[0] / "report.json").read_text()


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It writes nonsense."""
    return make_enhancer(tmp_path_factory.mktemp("enhancer"))


def test_an_enhancer_whose_answers_are_all_refused_changes_nothing(
    inputs: dict[str, Path], evaluated: tuple[Path, Metrics], enhancer: Path, tmp_path: Path
) -> None:
    metrics = evaluate(PARAMS, **inputs, enhancer=enhancer, report=tmp_path / "report")
    content, plain = stored(tmp_path / "report"), stored(evaluated[0])
    grid = content.pop("enhancer")
    assert plain.pop("enhancer") is None
    costs = {cost.pop("model"): cost for cost in content.pop("costs")}
    assert [costs[name] for name in plain["models"]] == [costs[f"{name}_enhanced"] for name in plain["models"]]
    del plain["costs"]
    assert content == plain
    assert asdict(metrics) == asdict(evaluated[1]) | {"evaluated_images": 8 * (20 * 2 + 3)}
    assert grid["models"] == [name + end for name in content["models"] for end in ("", "_enhanced")]
    assert (grid["fallback_frac"], grid["length_ratio"]) == (1, 1)
    assert all(one["text"] == one["prompt"] and one["reason"] for one in grid["rewritten"])
    assert [one["prompt"] for one in grid["rewritten"][:3]] == content["prompts"][:3]
    assert len(grid["rows"]) == (9 + 2) * 8
    of_chain = {(row["split"], row["model"], row["key"]): row["value"] for row in content["rows"]}
    for row in grid["rows"]:
        assert row["value"] == of_chain[row["split"], row["model"].removesuffix("_enhanced"), row["key"]]
    changes = [row["difference"] for row in grid["rows"] if row["difference"]]
    assert len(changes) == (9 + 2) * 4
    assert {(change["value"], change["verdict"]) for change in changes} == {(0, "no difference beyond noise")}
    assert [(rate["share"], rate["num_ties"]) for rate in grid["win_rates"]] == [(0.5, 40)] * 4


# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates: not ours to fix.
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_models_draw_what_the_enhancer_wrote_and_judges_are_told_the_prompt(
    inputs: dict[str, Path],
    evaluated: tuple[Path, Metrics],
    enhancer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_many(writer: Writer, messages: Sequence[str], seed: int) -> list[str]:
        """Well told, but for every prompt with a 3 in it."""
        wishes = [json.loads(message)["prompt"] for message in messages]
        return ["nothing" if "3" in wish else f"{wish}, drawn with care, in the middle of the page" for wish in wishes]

    monkeypatch.setattr(Writer, "write_many", write_many)
    params = PARAMS.model_copy(update={"num_enhanced_prompts": 6})
    store: dict[str, Any] = {
        "uri": f"sqlite:///{tmp_path}/mlflow.db",
        "artifact_root": tmp_path / "artifacts",
        "experiment": "easel",
    }
    with open_run("evaluate", **store) as run:
        metrics = evaluate(params, **inputs, enhancer=enhancer, report=tmp_path / "report")
    assert metrics.evaluated_images == 4 * (20 * 2 + 3) + 4 * (12 * 2 + 3)
    content = stored(tmp_path / "report")
    grid = content["enhancer"]
    assert len(grid["rewritten"]) == 12 + 3
    assert [(rate["num_prompts"], rate["num_drawings"]) for rate in grid["win_rates"]] == [(12, 2)] * 4
    for one in grid["rewritten"]:
        assert one["was_enhanced"] == ("3" not in one["prompt"])
        told = ", drawn with care, in the middle of the page" if one["was_enhanced"] else ""
        assert one["text"] == one["prompt"] + told
    assert content["rows"] == stored(evaluated[0])["rows"]
    rows = rows_of(grid)
    assert rows["heldout", "dpo_enhanced", "lite0_frechet"]["difference"]["value"] != 0
    client = mlflow.MlflowClient(store["uri"])
    logged = client.get_run(str(run.run_id)).data.metrics
    table = json.loads(Path(client.download_artifacts(str(run.run_id), "scores.json", str(tmp_path))).read_text())
    assert (table["columns"][:2], len(table["data"])) == (["measure", "value"], len(content["rows"]))
    assert dict(row[:2] for row in table["data"])["dpo/heldout/alignment"] == logged["dpo/heldout/alignment"]
    moved = rows["heldout", "turbo_enhanced", "alignment"]["difference"]
    names = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    assert {end: logged[f"turbo_enhanced/heldout/alignment_{name}"] for end, name in names.items()} == pytest.approx(
        {end: moved[end] for end in names}
    )
    assert logged["dpo/heldout/alignment"] == rows_of(content)["heldout", "dpo", "alignment"]["value"]
    assert 0 < logged["turbo/seconds_per_image"] < logged["turbo_enhanced/seconds_per_image"] * 100
    assert logged["enhancer/fallback_frac"] == grid["fallback_frac"]
    assert 0 < grid["fallback_frac"] < 1
    page = (tmp_path / "report" / "index.html").read_text()
    assert "With the prompt enhancer" in page
    assert "drawn with care" in page


def test_the_page_shows_prompts_as_text_and_credits_the_authors(evaluated: tuple[Path, Metrics]) -> None:
    page = (evaluated[0] / "index.html").read_text()
    assert "&lt;style&gt;" in page
    assert "Aes (proxy labels)<span>expected score from 0 to 100" in page
    assert "whatever was asked: labels are a PROXY &lt;b&gt;" in page
    assert "Real images: Made &lt;here&gt;." in page


def test_what_was_not_encoded_or_held_out_is_said(inputs: dict[str, Path]) -> None:
    encoded = store.read_latents(inputs["latents"], PX)
    with pytest.raises(DataError, match=r"no captions of kind 'tags' were encoded \(there: sentence\)"):
        read_prompts(encoded, "tags")
    with pytest.raises(ValueError, match=r"has no aes\.json, so no Aes model"):
        evaluate(PARAMS, **(inputs | {"aes": inputs["scorer"]}), report=Path("unused"))
    with pytest.raises(ValueError, match=f"num_text_prompts is 99; allowed: 0 to {len(WORDS)}, the words"):
        evaluate(PARAMS.model_copy(update={"num_text_prompts": 99}), **inputs, report=Path("unused"))
    with pytest.raises(ValueError, match=r"training\.json is missing"):
        evaluate(PARAMS, **(inputs | {"sft": inputs["images"]}), report=Path("unused"))


def test_models_of_different_sizes_are_not_compared(inputs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"px": 64, "shift": 2.0, "images_seen": 640}))
    with pytest.raises(ValueError, match="different sizes: base 32 px, sft 32 px, dpo 64 px, turbo 32 px; train them"):
        evaluate(PARAMS, **(inputs | {"dpo": tmp_path}), report=Path("unused"))
