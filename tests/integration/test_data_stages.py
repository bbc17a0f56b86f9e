"""The six data stages, one after the other, on generated images of every style: counts add up, planted faults found."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageDraw

from components.data import records
from components.data.errors import DataError
from components.data.feature_table import read_features
from components.models.linear_probe import load_probe
from flows.stages import (
    caption,
    categorize,
    check_selection,
    check_tables,
    data_report,
    filter_images,
    ingest,
    sample,
    score,
)

ROOT = Path(__file__).resolve().parents[2]
STYLES = ("Noto", "blob", "flat Twemoji", "Fluent 3D", "Fluent flat", "EmojiOne")
CATEGORIES = ("activities", "animals", "food", "objects", "smileys", "symbols", "travel")
NUM_CONCEPTS = 32
REPORTED = (
    *("images", "catalogue", "refusals", "quarantine", "verdicts"),
    *("categories", "captions", "ocr", "scores", "selection"),
)
PLANTED = {"truncated": 1, "animated": 1, "no_words": 1, "repeated_bytes": 2}


def webp(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, **options)
    return out.getvalue()


def drawing(style: int, concept: int) -> Image.Image:
    """A polygon whose corners tell the category and whose colours tell the style; the concept places it."""
    rng = np.random.default_rng(concept)
    image = Image.new("RGB", (96, 96), "white")
    pen = ImageDraw.Draw(image)
    colour = tuple(int(c) for c in np.random.default_rng(style + 1000).integers(0, 230, 3))
    x, y, radius = (int(rng.integers(*bounds)) for bounds in ((36, 60), (36, 60), (18, 34)))
    pen.regular_polygon((x, y, radius), 3 + concept % len(CATEGORIES), int(rng.integers(0, 90)), fill=colour)
    pen.rectangle((4, 4, 10 + style, 10 + concept % 5), fill=tuple(255 - c for c in colour))
    return image


def row(source_id: str, source: str, style: str, image: bytes, **more: object) -> dict[str, object]:
    words = {"title_en": source_id, "title_zh": None, "tags_en": ["one", "two"], "tags_zh": [], "description_en": None}
    credit = {"licence": "MIT", "creator": "a test", "attribution": "a test, MIT"}
    place = {"category": None, "subcategory": None, "folder": None, "concept": ""}
    return {
        "source_id": source_id,
        "source": source,
        "image": image,
        "style": style,
        **words,
        **credit,
        **place,
        **more,
    }


def emoji_rows(style: int) -> list[dict[str, object]]:
    return [
        row(
            f"{STYLES[style]}/{concept:x}.webp",
            STYLES[style],
            STYLES[style],
            webp(drawing(style, concept)),
            title_en=f"thing {chr(97 + concept % 26)}",
            title_zh="东西",
            category=CATEGORIES[concept % len(CATEGORIES)],
            subcategory="any",
            concept=f"{concept:x}",
        )
        for concept in range(NUM_CONCEPTS)
    ]


def clip_art_rows() -> list[dict[str, object]]:
    """Sound rows, then one planted fault of each kind."""
    pictures = [webp(drawing(50 + k, 900 + k)) for k in range(NUM_CONCEPTS)]
    rows = [row(f"art {chr(97 + k % 26)}_{k}.png", "openclipart", "clip art", data) for k, data in enumerate(pictures)]
    retouched = drawing(50, 900)
    retouched.putpixel((95, 95), (250, 250, 250))
    frames = webp(drawing(60, 1), save_all=True, append_images=[drawing(61, 2)])
    described = Image.Exif()
    described[0x010E] = "other bytes around the same pixels"
    speck = Image.new("RGB", (96, 96), "white")
    speck.putpixel((40, 40), (0, 0, 0))
    faults = {
        "truncated": {"image": pictures[0][: len(pictures[0]) // 2]},
        "animated": {"image": frames},
        "wordless": {"image": webp(drawing(70, 3)), "title_en": " ", "tags_en": []},
        "the same bytes": {"image": pictures[1]},
        "the same bytes again": {"image": pictures[1]},
        "a retouched copy": {"image": webp(retouched)},
        "the same pixels": {"image": webp(drawing(52, 902), exif=described)},
        "a speck": {"image": webp(speck)},
        "too small": {"image": webp(drawing(80, 4).resize((16, 16)))},
        "numbers only": {"image": webp(drawing(81, 5)), "title_en": "0001", "tags_en": ["12"]},
    }
    return rows + [row(name, "openclipart", "clip art", b"") | fault for name, fault in faults.items()]


def write_raw(folder: Path, parts: list[list[dict[str, object]]]) -> Path:
    folder.mkdir(parents=True)
    for number, rows in enumerate(parts):
        pq.write_table(pa.Table.from_pylist(rows, schema=records.RAW), folder / f"part-{number:05d}.parquet")
    return folder


def params() -> dict[str, dict]:
    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    given["ingest"]["max_quarantine_frac"] = 0.1
    given["sample"]["styles"] = [*STYLES, "clip art"]
    given["sample"]["split"].update(heldout_concept_frac=0.12, heldout_cell_frac=0.2)
    given["categorize"]["heldout_concept_frac"] = given["score"]["heldout_concept_frac"] = 0.35
    given["score"]["num_reference_images"] = 48
    for check in ("check_tables", "check_selection"):
        given[check]["categories"]["min_images"] = 1
        given[check]["drift"] = None
    return given


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Every stage run once, with its paths and metrics."""
    home = tmp_path_factory.mktemp("chain")
    raw = write_raw(home / "raw" / "images", [*(emoji_rows(style) for style in range(len(STYLES))), clip_art_rows()])
    at = {
        name: home / f"{name}.parquet"
        for name in (
            "catalogue",
            "quarantine",
            "refusals",
            "verdicts",
            "categories",
            "captions",
            "ocr",
            "scores",
            "selection",
            "balance",
        )
    }
    at |= {name: home / name for name in ("images", "features", "classifier", "scorer")}
    at["autoencoder"] = ROOT / "data" / "autoencoder"
    at["reference"] = ROOT / "infra" / "data-reference.json"
    at |= {"checked": home / "tables.json", "checked_selection": home / "selection.json"}
    given = params()

    def run(module, name: str, *roles: str, **extra: Path):
        values = module.Params.model_validate(given[name])
        return getattr(module, name)(values, **{role: at[role] for role in roles}, **extra)

    metrics = {
        "ingest": run(ingest, "ingest", "images", "catalogue", "quarantine", "refusals", raw=raw.parent),
        "filter_images": run(filter_images, "filter_images", "images", "catalogue", "verdicts"),
        "categorize": run(
            categorize,
            "categorize",
            *("images", "catalogue", "verdicts", "autoencoder", "categories", "features", "classifier"),
        ),
        "caption": run(caption, "caption", "images", "catalogue", "verdicts", "categories", "captions", "ocr"),
        "score": run(score, "score", "images", "catalogue", "verdicts", "features", "scores", "scorer"),
        "check_tables": run(
            check_tables,
            "check_tables",
            *("catalogue", "refusals", "quarantine", "verdicts"),
            *("categories", "captions", "ocr", "scores", "reference"),
            receipt=at["checked"],
        ),
        "sample": run(
            sample,
            "sample",
            *("checked", "catalogue", "verdicts", "categories", "captions", "scores", "selection", "balance"),
        ),
        "check_selection": run(
            check_selection,
            "check_selection",
            *("verdicts", "selection", "reference"),
            receipt=at["checked_selection"],
        ),
        "data_report": run(
            data_report,
            "data_report",
            *REPORTED,
            report=home / "data_report",
        ),
    }
    at["report"] = home / "data_report"
    return SimpleNamespace(at=at, raw=raw, **metrics)


def test_ingest_counts_add_up_and_name_the_planted_faults(built: SimpleNamespace) -> None:
    m = built.ingest
    assert m.offered_images == (len(STYLES) + 1) * NUM_CONCEPTS + 10
    assert m.offered_images == m.catalogued_images + m.repeated_images + m.damaged_images
    reasons = records.read_table(built.at["quarantine"], records.QUARANTINE)["reason"].to_pylist()
    assert {reason: reasons.count(reason) for reason in set(reasons)} == PLANTED
    assert m.misnamed_images == NUM_CONCEPTS  # the clip art is called .png and is WebP: harmless, but recorded


def test_images_are_kept_as_received_and_found_by_shard_and_row(built: SimpleNamespace) -> None:
    catalogue = records.read_table(built.at["catalogue"], records.CATALOGUE)
    ids = catalogue["sample_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    raw = {bytes(r["image"]) for style in range(len(STYLES)) for r in emoji_rows(style)}
    images = records.read_images(built.at["images"], ids)
    assert raw <= set(images["bytes"].to_pylist())
    for entry in catalogue.to_pylist()[::37]:
        shard = pq.read_table(records.part_file(built.at["images"], entry["shard"]))
        assert shard["sample_id"][entry["row"]].as_py() == entry["sample_id"]


def test_filter_counts_add_up_and_planted_copies_name_their_original(built: SimpleNamespace) -> None:
    m = built.filter_images
    assert m.offered_images == built.ingest.catalogued_images == m.kept_images + m.dropped_images
    assert (m.too_small_images, m.nearly_empty_images, m.exact_duplicate_images) == (1, 1, 1)
    assert m.near_duplicate_images >= 1
    names = dict(
        zip(
            *(
                records.read_table(built.at["catalogue"], records.CATALOGUE)[c].to_pylist()
                for c in ("sample_id", "source_id")
            ),
            strict=True,
        )
    )
    repeats = {
        names[v["sample_id"]]: names[v["duplicate_of"]]
        for v in records.read_table(built.at["verdicts"], records.VERDICTS).to_pylist()
        if v["duplicate_of"]
    }
    pairs = {frozenset(pair) for pair in repeats.items()}
    assert frozenset({"the same pixels", "art c_2.png"}) in pairs
    assert frozenset({"a retouched copy", "art a_0.png"}) in pairs


def test_categories_keep_labels_and_the_classifiers_learnt_something(built: SimpleNamespace) -> None:
    m = built.categorize
    placed = m.labelled_images + m.predicted_images + m.abstained_images + m.clustered_images
    assert m.offered_images == built.filter_images.kept_images == placed
    assert m.labelled_images == len(STYLES) * NUM_CONCEPTS
    assert m.style_accuracy > 0.8
    assert m.category_accuracy > m.category_chance
    style, facts = load_probe(built.at["classifier"], "style")
    assert set(style.classes) == set(STYLES)
    assert facts["accuracy"] == m.style_accuracy
    table = records.read_table(built.at["categories"], records.CATEGORIES).to_pylist()
    assert {entry["label_source"] for entry in table if entry["probability"] == 1.0} >= {"tree"}


def test_captions_count_what_has_no_words_and_name_their_maker(built: SimpleNamespace) -> None:
    m = built.caption
    assert m.offered_images == m.captioned_images + m.uncaptioned_images
    assert m.refused_texts == 2  # a title and a tag of numbers only
    table = records.read_table(built.at["captions"], records.CAPTIONS).to_pylist()
    assert {(entry["kind"], entry["language"]) for entry in table} == {
        (kind, language) for kind in ("tags", "short", "sentence", "long", "structured") for language in ("en", "zh")
    }
    assert {entry["maker"] for entry in table} == {"metadata/1"}
    assert all(entry["text"] and "\n" not in entry["text"] for entry in table)
    # Without words an image is captioned by its category, and only where that is sure enough.
    catalogue = records.read_table(built.at["catalogue"], records.CATALOGUE).to_pylist()
    wordless = next(entry["sample_id"] for entry in catalogue if entry["source_id"] == "numbers only")
    categories = records.read_table(built.at["categories"], records.CATEGORIES).to_pylist()
    is_sure = next(bool(e["category"]) for e in categories if e["sample_id"] == wordless)
    kinds = {entry["kind"] for entry in table if entry["sample_id"] == wordless}
    assert kinds == ({"short", "structured"} if is_sure else set())
    assert m.uncaptioned_images == (not is_sure)


def test_no_text_is_read_in_pictures_whose_words_speak_of_none(built: SimpleNamespace) -> None:
    readings = records.read_table(built.at["ocr"], records.OCR).to_pylist()
    assert len(readings) == built.caption.read_images
    assert sum(reading["ocr_text"] != "" for reading in readings) == built.caption.images_with_text


def test_the_looks_proxy_ranks_damage_it_never_saw_and_says_what_it_is(built: SimpleNamespace) -> None:
    assert built.score.scored_images == built.filter_images.kept_images
    assert built.score.proxy_pair_accuracy > 0.8
    assert b"PROXY" in pq.read_schema(built.at["scores"]).metadata[b"aesthetic"]


def test_the_saved_scorer_gives_the_scores_of_the_table(built: SimpleNamespace) -> None:
    probe, facts = load_probe(built.at["scorer"], "aesthetic")
    table = records.read_table(built.at["scores"], records.SCORES)
    features = read_features(built.at["features"], table["sample_id"].to_pylist())
    np.testing.assert_allclose(probe.margin(features), table["aesthetic"].to_numpy(), rtol=1e-6)
    assert (facts["px"], facts["precision"]) == (64, "bf16")
    assert "PROXY" in str(facts["aesthetic"])


def test_selection_counts_add_up_and_probability_is_on_training_images(built: SimpleNamespace) -> None:
    m = built.sample
    assert m.offered_images == m.selected_images + m.not_selected_images
    assert m.selected_images == sum(
        (m.train_images, m.heldout_cell_images, m.heldout_concept_images, m.heldout_image_images)
    )
    assert min(m.train_images, m.heldout_cell_images, m.heldout_concept_images) > 0
    table = records.read_table(built.at["selection"], records.SELECTION)
    probability, splits = table["probability"].to_numpy(), np.array(table["split"].to_pylist())
    assert probability[splits == "train"].sum() == pytest.approx(1)
    assert (probability[splits == "train"] > 0).all()
    assert (probability[splits != "train"] == 0).all()
    assert m.expected_repeats_max <= 3 + 1e-9


def test_what_the_stages_made_passes_what_is_expected_of_it(built: SimpleNamespace) -> None:
    assert built.check_tables.checked_tables == 8
    assert built.check_selection.checked_rows == built.sample.selected_images
    for name in ("checked", "checked_selection"):
        assert json.loads(built.at[name].read_text())["verdict"] == "passed"


def test_too_many_damaged_images_stop_ingest_with_one_line_and_nothing_written(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    values = ingest.Params.model_validate(params()["ingest"] | {"max_quarantine_frac": 0.001})
    out = {name: tmp_path / name for name in ("images", "catalogue", "quarantine", "refusals")}
    with pytest.raises(
        DataError, match=r"3 of \d+ samples cannot be used, more than ingest.max_quarantine_frac"
    ) as error:
        ingest.ingest(values, raw=built.raw.parent, **out)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_each_source_takes_the_same_concepts(built: SimpleNamespace, tmp_path: Path) -> None:
    values = ingest.Params.model_validate(params()["ingest"] | {"max_images": 8})
    out = {name: tmp_path / name for name in ("images", "catalogue", "quarantine", "refusals")}
    m = ingest.ingest(values, raw=built.raw.parent, **out)
    assert m.offered_images == (len(STYLES) + 1) * 8
    catalogue = records.read_table(out["catalogue"], records.CATALOGUE).to_pylist()
    taken = [{e["concept"] for e in catalogue if e["style"] == style} for style in STYLES]
    assert all(concepts == taken[0] for concepts in taken)


def test_the_report_counts_what_the_stages_counted_and_stays_the_same_bytes(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    m, summary = built.data_report, json.loads((built.at["report"] / "summary.json").read_text(encoding="utf-8"))
    gates = {gate["gate"]: gate for gate in summary["funnel"]}
    assert m.offered_images == built.ingest.offered_images == m.dropped_images + m.encoded_images
    assert gates["ingest"]["dropped"] == PLANTED
    assert gates["filter"]["kept"] == built.filter_images.kept_images
    assert gates["caption"]["kept"] == built.caption.captioned_images
    assert gates["select"]["kept"] == built.sample.selected_images
    assert summary["splits"]["train"] == built.sample.train_images
    page = (built.at["report"] / "index.html").read_bytes()
    assert m.page_bytes == len(page) < 2_000_000
    again = data_report.Params.model_validate(params()["data_report"])
    data_report.data_report(again, **{role: built.at[role] for role in REPORTED}, report=tmp_path / "again")
    assert (tmp_path / "again" / "index.html").read_bytes() == page
