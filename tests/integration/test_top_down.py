"""Rendered text read back by an independent reader, and the two top-down stages on tables made here."""

import hashlib
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from scipy.ndimage import map_coordinates

from components.data import feature_table, records
from components.data.config import DecodeLimits
from components.data.decode import decode_rgb
from components.data.top_down import facts, known
from components.models.text_recognition import TextReader
from flows.stages import check_sft, curate_sft, render_text

ROOT = Path(__file__).resolve().parents[2]
LIMITS = DecodeLimits(10**7, 10**7, 500.0, (255, 255, 255))
RENDERED = ("images", "catalogue", "captions", "rendered")
NUM_READ = 42


def params(stage: str) -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))[stage]


def render(folder: Path, **changes: object) -> tuple[render_text.Metrics, dict[str, Path]]:
    out = {name: folder / (name if name == "images" else f"{name}.parquet") for name in RENDERED}
    values = render_text.Params.model_validate(params("render_text") | {"num_images": NUM_READ} | changes)
    return render_text.render_text(values, **out), out


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[render_text.Metrics, dict[str, Path]]:
    return render(tmp_path_factory.mktemp("rendered"))


def bytes_of(paths: dict[str, Path]) -> dict[str, str]:
    files = {name: path if path.is_file() else records.part_file(path, 0) for name, path in paths.items()}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def test_rendering_twice_gives_the_same_files_and_another_seed_others(rendered, tmp_path):
    _, again = render(tmp_path / "again")
    _, other = render(tmp_path / "other", seed=1)
    assert bytes_of(again) == bytes_of(rendered[1])
    assert bytes_of(other)["images"] != bytes_of(again)["images"]


def test_counts_add_up_and_a_machine_without_a_chinese_font_says_so(rendered, tmp_path):
    m, _ = rendered
    assert m.rendered_images == NUM_READ == m.english_images + m.chinese_images + m.bilingual_images
    lettering = params("render_text")["lettering"] | {"chinese_fonts": []}
    english, out = render(tmp_path, lettering=lettering)
    assert (english.english_images, english.chinese_fonts) == (NUM_READ, 0)
    assert b"DejaVuSans.ttf" in records.pq.read_schema(out["rendered"]).metadata


def letters(text: str) -> str:
    """What counts as spelling: letters and digits in their order."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).lower() if char.isalnum())


def unrolled(badge: np.ndarray) -> np.ndarray:
    """The ring of a badge as a straight strip, its top in the middle: what a reader of lines can read."""
    side = len(badge)
    angles, radii = np.meshgrid(np.linspace(-0.85 * np.pi, 0.85 * np.pi, 4 * side), np.linspace(0.47, 0.2, side // 2))
    rows, columns = side * (0.5 - radii * np.cos(angles)) - 0.5, side * (0.5 + radii * np.sin(angles)) - 0.5
    return np.stack([map_coordinates(badge[..., c], [rows, columns], order=1) for c in range(3)], -1)


def test_a_reader_that_knows_no_fonts_of_ours_reads_every_line(rendered):
    _, out = rendered
    rows = records.read_table(out["rendered"], records.RENDERED).to_pylist()
    images = records.read_images(out["images"], [row["sample_id"] for row in rows])["bytes"].to_pylist()
    reader = TextReader(256)
    right: Counter[str] = Counter()
    for row, data in zip(rows, images, strict=True):
        pixels = decode_rgb(data, LIMITS)
        read = letters(
            "".join(one.text for one in reader.read(unrolled(pixels) if row["layout"] == "badge" else pixels))
        )
        right.update({row["layout"]: sum(letters(line) in read for line in row["lines"]) / len(row["lines"])})
    shares = {layout: right[layout] / sum(row["layout"] == layout for row in rows) for layout in right}
    assert min(share for layout, share in shares.items() if layout != "badge") > 0.95, shares
    assert shares["badge"] > 0.8, shares  # bent letters stay bent a little when the ring is unrolled


def table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


STYLES = ("Fluent 3D", "Noto", "clip art", "blob")
THINGS = (
    ("animals", "cat", "猫"),
    ("animals", "red bird", "红鸟"),
    ("objects", "book", "书"),
    ("smileys", "angry face", "生气的脸"),
)
PER_CELL = 12


@pytest.fixture(scope="module")
def curated(rendered, tmp_path_factory: pytest.TempPathFactory):
    """The stage on a catalogue whose concepts of number 0 are held out."""
    home = tmp_path_factory.mktemp("curated")
    rng = np.random.default_rng(0)
    rows = [
        {
            "sample_id": f"{style[:2]}{thing}{number}",
            "title_en": f"{thing} {'abcdefghijkl'[number]}x",
            "title_zh": zh,
            "tags_en": ["one thing", "drawing"],
            "tags_zh": ["东西"],
            "style": style,
            "category": category,
            "concept": "" if style == "clip art" else f"{thing}-{number}",
        }
        for style in STYLES
        for category, thing, zh in THINGS
        for number in range(PER_CELL)
    ]
    ids = [row["sample_id"] for row in rows]
    held = {row["sample_id"] for row in rows if row["concept"].endswith("-0") and row["style"] != "blob"}
    short = [{**row, "kind": "short", "language": "en", "text": row["title_en"], "maker": "metadata/1"} for row in rows]
    held_rows = [{**row, "split": "heldout_concept"} for row in rows if row["sample_id"] in held]
    tables = {
        "catalogue": table(rows, records.CATALOGUE),
        "verdicts": table([{"sample_id": name, "kept": True} for name in ids], records.VERDICTS),
        "categories": table([{**row, "probability": 1.0} for row in rows], records.CATEGORIES),
        "captions": table(short, records.CAPTIONS),
        "scores": table([{"sample_id": name, "aesthetic": float(rng.normal())} for name in ids], records.SCORES),
        "selection": table(held_rows, records.SELECTION),
    }
    at = {name: home / f"{name}.parquet" for name in (*tables, "sft_selection", "sft_prompts", "sft_gaps")}
    for name, one in tables.items():
        records.write_table(one, at[name])
    feature_table.write_features(rng.normal(size=(len(ids), 8)).astype(np.float16), ids, home / "features")
    paths = {f"rendered_{name}" if name != "rendered" else name: path for name, path in rendered[1].items()}
    del paths["rendered_images"]
    values = curate_sft.Params.model_validate(params("curate_sft") | {"num_images": 100})
    metrics = curate_sft.curate_sft(values, **at, **paths, features=home / "features", checked=at["verdicts"])
    return metrics, at, rows, held, rendered[1]


def test_the_set_holds_only_what_was_demanded_and_nothing_held_out(curated):
    m, at, rows, held, drawn = curated
    chosen = records.read_table(at["sft_selection"], records.SFT_SELECTION).to_pylist()
    assert m.wanted_images == 100 == m.selected_images + m.missing_images
    assert m.selected_images == len(chosen) == len({row["sample_id"] for row in chosen})
    concepts = {row["sample_id"]: row["concept"] or row["title_en"] for row in rows}
    forbidden = {name for name, concept in concepts.items() if concept.endswith("-0") or concept.endswith(" ax")}
    assert held < forbidden
    assert not forbidden & {row["sample_id"] for row in chosen}
    assert m.held_out_images == len(forbidden)
    assert sum(row["weight"] for row in chosen) == pytest.approx(1)
    texts = set(records.read_table(drawn["rendered"], records.RENDERED)["sample_id"].to_pylist())
    assert {row["pool"] for row in chosen if row["sample_id"] in texts} == {"rendered"}


def test_the_gap_report_says_what_is_missing(curated):
    m, at, *_ = curated
    gaps = {row["domain"]: row for row in records.read_table(at["sft_gaps"], records.SFT_GAPS).to_pylist()}
    assert gaps["portrait"]["found"] == 0
    assert "photograph" in gaps["portrait"]["why"]
    assert sum(row["missing"] for row in gaps.values()) == m.missing_images
    assert "portrait: wanted" in at["sft_gaps"].with_suffix(".txt").read_text(encoding="utf-8")


def test_every_image_has_four_prompts_in_each_language_with_the_same_facts(curated):
    m, at, rows, _, drawn = curated
    prompts = records.read_table(at["sft_prompts"], records.SFT_PROMPTS).to_pylist()
    counts = Counter((row["sample_id"], row["language"]) for row in prompts)
    assert set(counts.values()) == {4}
    assert len(counts) == 2 * m.selected_images
    lexicon = facts.Lexicon.of(known.phrases(rows), STYLES)
    stated: dict[tuple[str, str], set[facts.Facts]] = {}
    for row in prompts:
        stated.setdefault((row["sample_id"], row["language"]), set()).add(facts.facts_of(row["text"], lexicon))
    assert {len(found) for found in stated.values()} == {1}
    lines = {
        row["sample_id"]: row["lines"] for row in records.read_table(drawn["rendered"], records.RENDERED).to_pylist()
    }
    assert all(f"“{line}”" in row["text"] for row in prompts for line in lines.get(row["sample_id"], ()))


def test_what_the_stages_made_passes_what_is_expected_of_it(curated, tmp_path):
    m, at, _, _, drawn = curated
    paths = {name: at[name] for name in ("verdicts", "selection", "sft_selection", "sft_prompts")}
    paths |= {"rendered_catalogue": drawn["catalogue"], "rendered_captions": drawn["captions"]}
    values = check_sft.Params.model_validate(params("check_sft"))
    checked = check_sft.check_sft(values, **paths, rendered=drawn["rendered"], receipt=tmp_path / "receipt.json")
    assert checked.checked_tables == 5
    assert checked.checked_rows >= m.selected_images + m.prompts + 3 * NUM_READ
