"""`easel benchmark` on a tiny pipeline: drawn in the published layouts, resumed after a kill, scored and recorded."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from components.data.top_down.config import FontChoice
from components.data.top_down.fonts import find_fonts
from components.evaluation.benchmarks import eria, longtext, oneig
from components.evaluation.benchmarks.drawing import IMAGES
from components.evaluation.benchmarks.results import PAGE, RESULTS
from components.models.aes_config import AesBackbone
from components.models.aes_model import AesModel, save_aes
from components.models.diffusers_layout import write_pipeline
from components.models.image_features import NUM_FEATURES
from components.models.linear_probe import LinearProbe
from components.models.score_head import CLASSES, LEVELS
from components.models.training_record import read_training_record
from components.registry.hashes import write_hashes
from flows import settings
from flows.benchmark import FOLDER, Request, measured, readable, run_benchmark
from flows.benchmark_eria import AES, EriaRequest, run_eria
from flows.cli import app
from tests.integration.enhancers import make_enhancer
from tests.integration.test_enhance import DESCRIPTION, WISH, teach
from tests.integration.test_export import enter_workspace, parts

# diffusers 0.42 hands a tensor to numpy: not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEXTS = ("OPEN DAILY", "NO ENTRY", "SUMMER SALE")
GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {"tag": "colors", "include": [{"class": "car", "count": 1, "color": "red"}], "prompt": "a photo of a red car"},
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("benchmark")
    parts(root)
    record = read_training_record(root / "model")
    write_pipeline(root / "pipeline", model_dir=root / "model", autoencoder_dir=root / "autoencoder", record=record)
    write_hashes(root / "pipeline")
    return root / "pipeline"


@pytest.fixture
def workspace(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_workspace(tmp_path, {"export": pipeline}, monkeypatch)


def jsonl(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def prompts_of_texts(file: Path) -> Path:
    rows = [{"prompt_id": n, "category": "sign", "text": [text], "prompt": text} for n, text in enumerate(TEXTS)]
    return jsonl(file, rows)


def silent(title: str, done: int, total: int) -> None:
    """No bar."""


def lettered(text: str, side: int = 256) -> Image.Image:
    """A white picture on which the words of a text stand below each other."""
    image = Image.new("RGB", (side, side), "white")
    font = ImageFont.load_default(size=side / 6)
    ImageDraw.Draw(image).multiline_text((side // 12, side // 5), text.replace(" ", "\n"), "black", font, spacing=20)
    return image


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_geneval_is_drawn_once_for_the_official_scorer_whose_results_make_the_table(workspace: Path) -> None:
    prompts = jsonl(workspace / "evaluation_metadata.jsonl", GENEVAL)
    request = Request("geneval", prompts, side_px=32, seed=7)
    results, folder = run_benchmark(workspace, request, silent)
    images = folder / IMAGES
    expected = [f"{n:05}/samples/{k:05}.png" for n in range(2) for k in range(4)]
    assert set(bytes_below(images)) == {*expected, "00000/metadata.jsonl", "00001/metadata.jsonl"}
    assert json.loads((images / "00001" / "metadata.jsonl").read_text()) == GENEVAL[1]
    assert not results.scores
    assert {one.needs for one in results.unscored} == {
        "an object detector (Mask2Former, Swin-S, COCO) and CLIP ViT-L/14 for colours"
    }
    drawn = json.loads((folder / "drawn.json").read_text())
    assert [drawn["pictures"][f"00001/samples/{n:05}.png"]["seeds"] for n in range(4)] == [[7], [8], [9], [10]]
    before = {file: file.stat().st_mtime_ns for file in images.rglob("*.png")}
    lines = [{"filename": str(file), "correct": file.parts[-3] == "00001"} for file in before]
    scored = jsonl(workspace / "results.jsonl", lines)
    results, _ = run_benchmark(workspace, replace(request, official=scored), silent)
    assert {file: file.stat().st_mtime_ns for file in images.rglob("*.png")} == before
    assert {one.metric: one.value for one in results.scores} == {"overall": 0.5, "single_object": 0.0, "colors": 1.0}
    assert not results.beside  # two prompts are not the benchmark
    with pytest.raises(ValueError, match=r"drawn with side_px 32, not 64; move it away"):
        run_benchmark(workspace, replace(request, side_px=64), silent)
    run_benchmark(workspace, replace(request, side_px=64, again=True), silent)
    with Image.open(next(images.rglob("*.png"))) as image:
        assert image.size == (64, 64)


def test_scores_and_settings_stand_in_the_experiment(workspace: Path) -> None:
    file = workspace / "OneIG-Bench.csv"
    file.write_text(
        'category,id,prompt_en\nPortrait,000,a man\nPortrait,001,a woman\nText_Rendering,000,"say ""Hi"""\n'
    )
    (workspace / "text_content.csv").write_text("id,text_content\n000,Hi\n")
    results, folder = run_benchmark(workspace, Request("oneig", file, side_px=32, limit=2), silent)
    assert [path.name for path in sorted((folder / IMAGES).rglob("*.webp"))] == ["000.webp", "000.webp"]
    client = mlflow.MlflowClient(settings.tracking_uri(workspace))
    experiment = client.get_experiment_by_name(settings.EXPERIMENT)
    assert experiment
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.tags["easel.benchmark"], run.data.tags["easel.model"]) == ("oneig_en", "latest")
    assert run.data.params["steps"] == "25"
    assert {"oneig_en/diversity", "oneig_en/text", "seconds_per_image"} <= set(run.data.metrics)
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} == {PAGE, RESULTS}
    logged = {one.metric: one.value for one in results.scores if not one.group}
    assert {name: run.data.metrics[f"oneig_en/{name}"] for name in logged} == pytest.approx(logged)


def test_the_enhancers_words_are_drawn_and_told(workspace: Path) -> None:
    taught = make_enhancer(workspace / "artifacts" / "models" / "enhancer", max_new_tokens=80)
    teach(taught)
    prompts = jsonl(workspace / "evaluation_metadata.jsonl", [GENEVAL[0] | {"prompt": WISH}])
    request = Request("geneval", prompts, side_px=32, enhance=True)
    results, folder = run_benchmark(workspace, request, silent)
    assert (results.model, folder.name) == ("latest-enhanced", "latest-enhanced")
    drawn = json.loads((folder / "drawn.json").read_text())["pictures"]
    assert {(row["prompt"], row["told"]) for row in drawn.values()} == {(WISH, DESCRIPTION)}
    assert f"drawn as: {DESCRIPTION}" in (folder / PAGE).read_text()
    _, plain = run_benchmark(workspace, replace(request, enhance=False), silent)
    assert plain.name == "latest"
    assert bytes_below(plain / IMAGES) != bytes_below(folder / IMAGES)
    file = next((taught / "pe").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match="drawn with enhancer_sha256"):
        run_benchmark(workspace, request, silent)


def test_known_letters_are_read_and_other_letters_are_not(tmp_path: Path) -> None:
    suite = longtext.read(prompts_of_texts(tmp_path / "text_prompts.jsonl"))
    for picture in suite.pictures("m", 0):
        file = tmp_path / IMAGES / picture.file
        file.parent.mkdir(exist_ok=True)
        lettered("TULIPS" if picture.case.key == "0001" else picture.case.text).save(file)
    found = {one.metric: one for one in measured(suite, tmp_path, "m", Request("longtext", tmp_path, seed=0), silent)}
    assert found["word_accuracy"].value == pytest.approx(4 / 6)
    assert found["edit_distance"].value == pytest.approx(np.mean([0, 7 / 8, 0]), abs=0.05)
    assert not any(one.is_official for one in found.values())


def test_chinese_letters_are_counted_by_their_characters(tmp_path: Path) -> None:
    fonts = find_fonts([FontChoice("NotoSansCJK-Bold.ttc", 2, None, required=False)])
    if not fonts:
        pytest.skip("no Chinese font here")
    rows = [{"prompt_id": 0, "text": ["今日营业"], "prompt": "招牌"}]
    suite = longtext.read(jsonl(tmp_path / "text_prompts_zh.jsonl", rows))
    image = Image.new("RGB", (256, 256), "white")
    font = ImageFont.truetype(fonts[0].file, 56, index=fonts[0].face)
    ImageDraw.Draw(image).text((16, 90), "今日营", "black", font)
    (tmp_path / IMAGES).mkdir()
    for picture in suite.pictures("m", 0):
        image.save(tmp_path / IMAGES / picture.file)
    found = {one.metric: one for one in measured(suite, tmp_path, "m", Request("longtext", tmp_path, seed=0), silent)}
    assert (found["word_accuracy"].value, found["edit_distance"].value) == (0.75, 0.25)


def test_a_killed_benchmark_goes_on_with_the_next_picture(workspace: Path) -> None:
    prompts = prompts_of_texts(workspace / "text_prompts.jsonl")
    easel = str(Path(sys.executable).with_name("easel"))
    command = [easel, "benchmark", "longtext", "--prompts", str(prompts), "--side", "32", "--json"]
    images = workspace / FOLDER / "longtext_en" / "latest" / IMAGES
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 200
    while len(list(images.glob("*.png"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = {file.name: file.stat().st_mtime_ns for file in images.glob("*.png")}
    assert 3 <= len(first) < 12
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {name: (images / name).stat().st_mtime_ns for name in first} == first
    resumed = bytes_below(images)
    assert sorted(resumed) == [f"{n:04}_{k}.png" for n in range(3) for k in (1, 2, 3, 4)]
    run_benchmark(workspace, Request("longtext", prompts, side_px=32, again=True), silent)
    assert bytes_below(images) == resumed
    said = json.loads(done.stdout)
    assert said["facts"]["drawings"] == 12
    assert [one["metric"] for one in said["not_scored"]] == ["en"]


def test_prompts_longer_than_the_model_reads_are_left_out_and_counted(tmp_path: Path) -> None:
    suite = longtext.read(prompts_of_texts(tmp_path / "text_prompts.jsonl"))
    kept, notes = readable(suite, lambda prompt: len(prompt) < 11)
    assert [case.text for case in kept.cases] == ["OPEN DAILY", "NO ENTRY"]
    assert notes == ["1 prompts were not drawn: they are longer than the model reads, and would be cut."]
    with pytest.raises(ValueError, match="reads none of the 3 prompts"):
        readable(suite, lambda prompt: False)


def rated_folder(folder: Path, number: int) -> Path:
    """Pictures whose tier grows with their red."""
    (folder / "test").mkdir(parents=True)
    rows = []
    for n in range(number):
        pixels = np.zeros((40, 30, 3), np.uint8)
        pixels[:, :, 0] = 20 * n
        Image.fromarray(pixels).save(folder / "test" / f"{n:06}.jpg")
        rows.append({"image": f"{n:06}.jpg", "score": 1 + 9 * n / (number - 1), "category": "ab"[n % 2]})
    (folder / "test" / "test.json").write_text(json.dumps(rows))
    return folder


def random_aes(folder: Path) -> None:
    weight = np.random.default_rng(0).normal(0, 0.05, (LEVELS, NUM_FEATURES)).astype(np.float32)
    head = LinearProbe(CLASSES, weight, np.zeros(LEVELS, np.float32))
    save_aes(AesModel(AesBackbone("lite0", None, None, 64), head, "labels that a test made", {}), folder)


def test_eria_stands_beside_published_numbers_only_as_a_whole(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_aes(workspace / AES)
    folder = rated_folder(workspace / "eria", 12)
    results, out = run_eria(workspace, EriaRequest(folder), silent)
    assert out == workspace / FOLDER / "eria" / "aes"
    assert {(one.metric, one.group) for one in results.scores} == {
        (metric, group) for metric in ("srcc", "plcc", "krcc") for group in ("", "a", "b")
    }
    assert not results.beside
    assert results.facts["labels_of_the_model"] == "labels that a test made"
    monkeypatch.setattr(eria, "NUM_IMAGES", 12)
    results, _ = run_eria(workspace, EriaRequest(folder), silent)
    assert [one.metric for one in results.compared] == ["srcc", "plcc"]
    page = (out / PAGE).read_text()
    assert "ERNIE-Image-Aes" in page
    assert "0.7445" in page
    (folder / "test" / "000004.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"test\.json, entry 4: .*000004\.jpg cannot be read"):
        run_eria(workspace, EriaRequest(folder), silent)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["geneval", "--prompts", "none.jsonl"], "none.jsonl: No such file"),
        (["geneval", "--prompts", "rows.jsonl"], "rows.jsonl, line 1: 'tag' is missing"),
        (["longtext", "--prompts", "text.jsonl", "--model", "none/there"], "there is no model directory"),
        (["longtext", "--prompts", "text.jsonl", "--side", "30"], "width 30 is not possible"),
        (["oneig", "--prompts", "text.jsonl"], "text.jsonl, line 1: 'id' is missing"),
        (["eria", "--prompts", "."], ".: no test.json in it"),
        (["published", "fid"], "'fid' is no table"),
    ],
)
@pytest.mark.usefixtures("workspace")
def test_mistakes_are_one_line(arguments: list[str], line: str) -> None:
    Path("rows.jsonl").write_text("{}\n")
    prompts_of_texts(Path("text.jsonl"))
    result = CliRunner().invoke(app, ["benchmark", *arguments])
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)
    assert line in str(result.exception)
    assert "\n" not in str(result.exception)


def test_published_tables_are_printed() -> None:
    result = CliRunner().invoke(app, ["benchmark", "published", "geneval", "--json"])
    assert json.loads(result.stdout)[0]["values"]["overall"] == 0.8856
    assert oneig.NUM_PROMPTS == {"en": 1120, "zh": 1320}
