"""The export with tiny random networks and the real text encoder: drawn by stock diffusers in a process without us."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers import ErnieImageTransformer2DModel
from PIL import Image

from components.data.records import CATALOGUE, PAIRS, SELECTION
from components.evaluation.comparison import Row, WinRate
from components.evaluation.report import Example, Report, Section, write_report
from components.models import diffusers_layout
from components.models.autoencoder import build_autoencoder, decode_latents, load_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig
from components.models.denoiser import Denoiser, pad_states
from components.models.diffusers_layout import draw, load_pipeline
from components.models.text_encoder import TEXT_DIM, TextEncoder
from components.models.transformer import build_transformer, load_transformer
from components.registry.hashes import stated_digest, verified_digest
from components.registry.resolve import resolve
from components.samplers.drawing import to_uint8
from components.samplers.guidance import guided_velocity
from components.samplers.solvers import euler
from components.samplers.time_grid import shifted_time_grid
from components.tracking import open_run
from flows import generate as generating
from flows.stages.export import Metrics, Params, export
from flows.stages.register import Params as RegisterParams
from flows.stages.register import register

# diffusers 0.42 hands a tensor to numpy, and MLflow 3.17 uses what SQLAlchemy 2.1 deprecates: not ours to fix.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

SHIFT, STEPS, GUIDANCE, PROMPT = 3.0, 4, 2.5, "a red apple, blob style"


def parts(root: Path) -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4))
    autoencoder.bn.running_mean.normal_()
    autoencoder.bn.running_var.uniform_(0.5, 2)
    autoencoder.save_pretrained(root / "autoencoder")
    transformer: ErnieImageTransformer2DModel = build_transformer(DiTConfig(32, 2, 2, 64, (4, 6, 6), 256), 16, TEXT_DIM)
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    transformer.save_pretrained(root / "model" / "transformer")
    (root / "model" / "training.json").write_text(json.dumps({"px": 32, "shift": SHIFT, "images_seen": 1000}))


def enter_workspace(root: Path, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `root` a repository's root whose last exports, by name, are these; a test may take files out of them."""
    (root / "flows").mkdir()
    (root / "flows" / "pipeline.py").touch()
    for name, pipeline in exports.items():
        if pipeline.is_dir():
            shutil.copytree(pipeline, root / "artifacts" / name, copy_function=os.link)
    monkeypatch.chdir(root)
    monkeypatch.delenv("EASEL_TRACKING_URI", raising=False)
    monkeypatch.delenv("EASEL_HOME", raising=False)
    return root


def tables(root: Path) -> None:
    rows = [
        {field.name: "" if pa.types.is_string(field.type) else None for field in CATALOGUE}
        | {"sample_id": f"s{i}", "source": "noto", "licence": "Apache-2.0", "attribution": "Noto <b>Emoji</b>"}
        for i in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=CATALOGUE), root / "catalogue.parquet")
    chosen = [
        {"sample_id": f"s{i}", "category": "food", "style": "Noto", "concept": "c", "split": "train", "probability": p}
        for i, p in enumerate((0.5, 0.5, 0.0))
    ]
    pq.write_table(pa.Table.from_pylist(chosen, schema=SELECTION), root / "selection.parquet")
    pair = {field.name: "x" for field in PAIRS} | {"judge": "weighted", "margin": 1.0, "is_human": False}
    pq.write_table(pa.Table.from_pylist([pair] * 2, schema=PAIRS), root / "pairs.parquet")
    image = np.full((32, 32, 3), 9, np.uint8)
    rows = [
        Row("heldout_cell", model, "style_accuracy", "style accuracy", "share", value, 0.4, 0.6, 1 / 6, 0.9, "")
        for model, value in (("sft", 0.45), ("dpo", 0.5), ("turbo", 0.4))
    ]
    drawn = {"sft": image, "dpo": image, "turbo": 2 * image}
    section = Section("heldout_cell", "Cells", "", 1, rows, [Example(PROMPT, drawn, image)])
    wins = [WinRate("dpo", "sft", 100, 0, 0.58, 0.48, 0.67), WinRate("turbo", "dpo", 100, 0, 0.47, 0.4, 0.6)]
    write_report(root / "report", Report(["sft", "dpo", "turbo"], [section], wins))


def export_one(root: Path, name: str, model: str, out: str) -> Metrics:
    return export(
        Params(title="easel tiny", evaluated_as=name, check_sampling_steps=2),
        model=root / model,
        autoencoder=root / "autoencoder",
        report=root / "report",
        selection=root / "selection.parquet",
        catalogue=root / "catalogue.parquet",
        pairs=root / "pairs.parquet",
        pipeline=root / out,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    root = tmp_path_factory.mktemp("export")
    parts(root)
    tables(root)
    return root / "pipeline", export_one(root, "dpo", "model", "pipeline")


@pytest.fixture(scope="module")
def distilled(exported: tuple[Path, Metrics]) -> Path:
    """The export of a model that says that it was distilled, beside the other one."""
    root = exported[0].parent
    (root / "few").mkdir()
    (root / "few" / "transformer").symlink_to(root / "model" / "transformer")
    look = {"images_seen": 1000, "student/poster/alignment": 0.19, "teacher/poster/alignment": 0.2, "reason": ""}
    facts = {
        "distilled": {"num_steps": 8, "guidance_scale": 1.0, "rollout": "euler"},
        "training": {"committee": {"experts": ["general", "lettering"]}},
        "looks": [look | {"drift/poster/alignment": 0.95}],
    }
    record = json.loads((root / "model" / "training.json").read_text()) | facts
    (root / "few" / "training.json").write_text(json.dumps(record))
    export_one(root, "turbo", "few", "few_pipeline")
    return root / "few_pipeline"


def test_stock_diffusers_drew_an_image_in_a_process_without_this_project(exported: tuple[Path, Metrics]) -> None:
    _, metrics = exported
    assert metrics.check_pixel_std > 0


def test_there_are_only_safetensors_and_json_and_all_are_hashed(exported: tuple[Path, Metrics]) -> None:
    pipeline, metrics = exported
    files = [path for path in pipeline.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".png"}
    assert metrics.exported_bytes == sum(path.stat().st_size for path in files)
    assert verified_digest(pipeline) == stated_digest(pipeline)
    index = json.loads((pipeline / "model_index.json").read_text())
    assert index["_class_name"] == "ErnieImagePipeline"
    assert index["pe"] == index["pe_tokenizer"] == [None, None]


def test_no_file_tells_where_it_was_made(exported: tuple[Path, Metrics]) -> None:
    place = str(exported[0].parent).encode()
    assert not [path for path in exported[0].rglob("*") if path.is_file() and place in path.read_bytes()]


def test_the_card_names_data_licences_and_scores(exported: tuple[Path, Metrics]) -> None:
    text = (exported[0] / "README.md").read_text()
    assert "| noto | 2 | Apache-2.0 | Noto &lt;b&gt;Emoji&lt;/b&gt; |" in text
    assert "| style accuracy, unseen style-concept pairs | 0.5 | 0.4 – 0.6 | 0.167 | 0.9 |" in text
    assert text.count("style accuracy, unseen") == 3  # twice in the front matter, once in the table: one model
    assert "| dpo over sft | 0.58 | 0.48 – 0.67 |" in text
    assert "fine-tuned on a curated selection (SFT), then on preference pairs (DPO)" in text
    assert "DPO had 2 pairs, judged by weighted; no person chose." in text
    assert "turbo" not in text
    assert not (exported[0] / "sampling.json").exists()


def test_what_was_not_evaluated_is_not_exported(exported: tuple[Path, Metrics]) -> None:
    with pytest.raises(ValueError, match=r"no evaluation of 'tubro'; .* may be: sft, dpo, turbo"):
        export_one(exported[0].parent, "tubro", "model", "other")


def test_a_distilled_model_states_its_eight_evaluations(distilled: Path) -> None:
    assert json.loads((distilled / "sampling.json").read_text()) == {"num_inference_steps": 8, "guidance_scale": 1.0}
    assert verified_digest(distilled) == stated_digest(distilled)
    text = (distilled / "README.md").read_text()
    assert "num_inference_steps=8,\n    guidance_scale=1.0," in text
    assert "taught by general, lettering" in text
    assert "| poster | alignment | 0.19 | 0.2 | 0.95 |" in text
    assert "| turbo over dpo | 0.47 | 0.4 – 0.6 |" in text
    others = (distilled.parent / "report" / "samples_turbo.png").read_bytes()
    assert (
        (distilled / "samples.png").read_bytes()
        == others
        != (distilled.parent / "pipeline" / "samples.png").read_bytes()
    )


def test_stock_diffusers_visits_the_trained_times_with_eight_evaluations(distilled: Path) -> None:
    pipeline = load_pipeline(distilled)
    asked = []
    pipeline.transformer.register_forward_hook(lambda module, given, result: asked.append(len(result[0])))
    pipeline(PROMPT, height=32, width=32, output_type="latent", **json.loads((distilled / "sampling.json").read_text()))
    assert asked == [1] * 8
    torch.testing.assert_close(pipeline.scheduler.sigmas, shifted_time_grid(8, SHIFT))


def test_stock_diffusers_says_nothing_of_the_stated_settings(exported: tuple[Path, Metrics], distilled: Path) -> None:
    code = """
import sys, diffusers, transformers
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()
for folder in sys.argv[1:]:
    diffusers.DiffusionPipeline.from_pretrained(folder)
    print(end="=====", file=sys.stderr)
"""
    command = [sys.executable, "-I", "-c", code, str(exported[0]), str(exported[0]), str(distilled)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, plain, few, _ = done.stderr.split("=====")
    assert few.replace(str(distilled), "") == plain.replace(str(exported[0]), "")
    assert "sampling.json" not in done.stderr


def test_the_pipeline_draws_what_our_own_sampler_draws(exported: tuple[Path, Metrics]) -> None:
    directory, _ = exported
    pipeline = load_pipeline(directory)
    noise = torch.randn(1, 16, 2, 2, generator=torch.Generator().manual_seed(5))
    options = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "height": 32, "width": 32}
    theirs = pipeline(PROMPT, latents=noise, **options).images[0]

    texts = [pad_states([states]) for states in TextEncoder.load()([PROMPT, ""])]
    denoiser = Denoiser(load_transformer(directory / "transformer"))
    with torch.no_grad():
        velocity = guided_velocity(denoiser, texts[0], texts[1], GUIDANCE)
        latents = euler(velocity, noise, shifted_time_grid(STEPS, SHIFT))
    ours = to_uint8(decode_latents(load_autoencoder(directory / "vae"), latents))[0]
    assert np.abs(np.asarray(theirs).astype(int) - ours.astype(int)).max() <= 1
    assert ours.std() > 1


@pytest.mark.parametrize(
    ("stranger", "says"),
    [
        ("raise OSError('no file named x')", "cannot use the export in .*: OSError: no file named x"),
        ('print(\'{"shape": [16, 16, 3], "finite": true, "std": 1.0, "ours": []}\')', "no proper image"),
        ('print(\'{"shape": [32, 32, 3], "finite": false, "std": 1.0, "ours": []}\')', "no proper image"),
    ],
)
def test_what_a_stranger_cannot_use_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: str, says: str
) -> None:
    monkeypatch.setattr(diffusers_layout, "STRANGER", stranger)
    with pytest.raises(ValueError, match=says):
        diffusers_layout.check_as_stranger(tmp_path, prompt="x", side_px=32, num_sampling_steps=1)


@pytest.fixture
def workspace(exported: tuple[Path, Metrics], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    exports = {"export": exported[0], "export_turbo": exported[0].parent / "few_pipeline"}
    return enter_workspace(tmp_path, exports, monkeypatch)


def test_generate_writes_a_png_that_says_how_it_was_made(exported: tuple[Path, Metrics], workspace: Path) -> None:
    settings = {"steps": 2, "seed": 7, "width": 32, "height": 48}
    out = generating.generate("红苹果, a 'red' apple", out=workspace / "apple.png", **settings)
    with Image.open(out) as image:
        assert image.size == (32, 48)
        assert image.text["prompt"] == "红苹果, a 'red' apple"
        assert image.text["seed"] == "7"
        assert image.text["model_sha256"] == stated_digest(exported[0])
        first = np.asarray(image)
    generating.generate("红苹果, a 'red' apple", out=workspace / "again.png", model=str(exported[0]), **settings)
    with Image.open(workspace / "again.png") as image:
        np.testing.assert_array_equal(np.asarray(image), first)
    assert sorted(path.name for path in workspace.glob("*.png")) == ["again.png", "apple.png"]


def drawn_with(file: Path) -> tuple[str, str]:
    """Steps and guidance in a picture's metadata."""
    with Image.open(file) as image:
        return image.text["steps"], image.text["guidance"]


@pytest.mark.usefixtures("distilled")
def test_turbo_draws_with_what_it_states_unless_told_otherwise(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    side, out = {"width": 32, "height": 32}, workspace / "apple.png"
    assert drawn_with(generating.generate(PROMPT, model="turbo", out=out, **side)) == ("8", "1.0")
    assert drawn_with(generating.generate(PROMPT, model="turbo", out=out, steps=4, **side)) == ("4", "1.0")
    assert capsys.readouterr().err == ""
    assert drawn_with(generating.generate(PROMPT, model="turbo", out=out, guidance=3.0, **side)) == ("8", "3.0")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: this model was distilled to draw 8 steps at guidance 1; guidance 3 takes twice")
    assert drawn_with(generating.generate(PROMPT, out=out, **side)) == ("25", "3.0")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"num_inference_steps": 0, "guidance_scale": 1}'])
def test_settings_that_make_no_sense_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "sampling.json").write_text(content)
    with pytest.raises(ValueError, match=r"sampling\.json does not say how the model is drawn") as told:
        diffusers_layout.stated_few_steps(tmp_path)
    assert "\n" not in str(told.value)


def test_a_prompt_that_would_be_cut_is_refused(exported: tuple[Path, Metrics]) -> None:
    settings = {"width_px": 32, "height_px": 32, "num_sampling_steps": 1, "guidance_scale": 1.0, "seed": 0}
    with pytest.raises(ValueError, match="602 tokens, the model reads 512"):
        draw(load_pipeline(exported[0]), "apple " * 600, **settings)


def test_register_leaves_a_receipt_that_does_not_change(exported: tuple[Path, Metrics], tmp_path: Path) -> None:
    store = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifact_root": tmp_path / "artifacts", "experiment": "easel"}
    receipts = []
    for name in ("one.json", "two.json"):
        with open_run("register", **store):
            metrics = register(
                RegisterParams(name="easel", evaluated_as="dpo"),
                pipeline=exported[0],
                report=exported[0].parent / "report",
                receipt=tmp_path / name,
            )
        receipts.append((tmp_path / name).read_text())
        assert metrics.version == 1
    assert receipts[0] == receipts[1]
    assert json.loads(receipts[0]) == {
        "alias": "candidate",
        "digest": stated_digest(exported[0]),
        "name": "easel",
        "version": 1,
    }
    with pytest.raises(ValueError, match="no MLflow store outside a run"):
        register(
            RegisterParams(name="easel", evaluated_as="dpo"),
            pipeline=exported[0],
            report=tmp_path,
            receipt=tmp_path / "three.json",
        )


def test_both_models_are_registered_in_one_run_each_with_its_own_scores(
    exported: tuple[Path, Metrics], distilled: Path, tmp_path: Path
) -> None:
    store = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifact_root": tmp_path / "artifacts", "experiment": "easel"}
    pairs = {"dpo": ("easel", exported[0]), "turbo": ("easel-turbo", distilled)}
    with open_run("register", **store):
        for evaluated_as, (name, pipeline) in pairs.items():
            register(
                RegisterParams(name=name, evaluated_as=evaluated_as),
                pipeline=pipeline,
                report=exported[0].parent / "report",
                receipt=tmp_path / f"{name}.json",
            )
    for evaluated_as, (name, pipeline) in pairs.items():
        found = resolve("candidate", uri=store["uri"], name=name, workspace_export=tmp_path)
        assert stated_digest(found) == stated_digest(pipeline)
        version = mlflow.MlflowClient(store["uri"]).get_model_version_by_alias(name, "candidate")
        assert ("metric.win_rate/turbo_over_dpo" in version.tags) == (evaluated_as == "turbo")
        assert version.tags["metric.heldout_cell/style_accuracy"] == {"dpo": "0.5", "turbo": "0.4"}[evaluated_as]
        assert {"easel.stage", "easel.recipe", "easel.params_sha256", "easel.data.raw"} <= version.tags.keys()
