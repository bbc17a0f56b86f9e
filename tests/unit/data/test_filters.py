"""Filters: one crafted sample per reason, which no clean sample meets; reasons that add up; switches that work."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from components.data import intake, opt_out, records
from components.data.config import DecodeLimits, FilterLimits, Likeness
from components.data.decontamination import fingerprints
from components.data.filters import FILTERS, Evidence, apply_filters, versions
from components.data.records import strings

DECODE = DecodeLimits(10**7, 10**7, 1e4)
LIMITS = FilterLimits(
    enabled=tuple(rule.name for rule in FILTERS),
    min_longer_side_px=48,
    max_aspect=4.0,
    max_blank_frac=0.99,
    min_entropy_bits=0.5,
    min_view_sharpness=20.0,
    max_lettering=0.8,
    max_repetition=6.0,
    min_skin_frac=0.1,
    max_unsafe=0.8,
    near=Likeness(4, 10.0, 1.1, None),
)
NUM_CLEAN = 8


def encoded(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, **options)
    return out.getvalue()


def scene(seed: int, width: int = 256, height: int = 192) -> Image.Image:
    """A smooth field of colours with sharp shapes and grain, as unlike as two photographs."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(40, 216, (5, 6, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, radius = (int(rng.integers(0, most)) for most in (width, height, height // 4))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        pen.regular_polygon((x, y, radius + 6), int(rng.integers(3, 7)), int(rng.integers(90)), fill=colour)
    grain = np.random.default_rng(seed).normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def page() -> Image.Image:
    image = Image.new("RGB", (256, 192), (250, 248, 240))
    pen = ImageDraw.Draw(image)
    for line in range(6):
        pen.text((8, 8 + 30 * line), "every word of it", fill=(20, 20, 30), font=ImageFont.load_default(22))
    return image


def stamped(image: Image.Image) -> Image.Image:
    """`image` under a faint word that is tiled over it."""
    mark = Image.new("L", image.size, 0)
    pen = ImageDraw.Draw(mark)
    for y in range(0, image.height, 40):
        for x in range(0, image.width, 84):
            pen.text((x, y), "stock", fill=80, font=ImageFont.load_default(24))
    return Image.composite(Image.new("RGB", image.size, "white"), image, mark)


def dot() -> Image.Image:
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).rectangle((60, 60, 63, 63), fill="black")
    return image


def two_tones() -> Image.Image:
    """Another colour of nearly the same luma beside grey: much to see, nothing in grey."""
    image = Image.new("RGB", (128, 128), (128, 128, 128))
    ImageDraw.Draw(image).rectangle((0, 0, 63, 127), fill=(255, 63, 128))
    return image


def retouched(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putpixel((3, 3), (255, 0, 0))
    return image


def described(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "other bytes around the same pixels"
    return encoded(image, exif=exif)


CRAFTED = {
    "opted_out": encoded(scene(20)),
    "too_small": encoded(scene(21, 40, 40)),
    "odd_aspect": encoded(scene(22, 300, 60)),
    "nearly_empty": encoded(dot()),
    "flat": encoded(two_tones()),
    "blurred": encoded(scene(23).filter(ImageFilter.GaussianBlur(8))),
    "text_only": encoded(page()),
    "watermark": encoded(stamped(scene(24))),
    "unsafe": encoded(scene(25)),
    "in_evaluation": encoded(retouched(scene(26))),
    "exact_duplicate": described(scene(0)),
    "near_duplicate": encoded(retouched(scene(1))),
}
CLEAN = {f"clean {seed}": encoded(scene(seed)) for seed in range(NUM_CLEAN)}


def catalogue(images: dict[str, bytes]) -> pa.Table:
    rows = [
        {"source_id": name, "source": "made", "image": data, "title_en": "a thing", "style": "photo", "concept": ""}
        # The better copy has more words.
        | {"tags_en": ["one", "two"] if name.startswith("clean") else ["one"]}
        for name, data in images.items()
    ]
    table = pa.Table.from_pylist(rows, schema=records.RAW)
    names = [name.encode() for name in images]
    facts = intake.inspect_images(list(images.values()), names, DECODE, with_repetition=True)
    for name in facts.column_names:
        table = table.append_column(name, facts[name])
    unsafe = [0.9 if name == "unsafe" else None for name in images]
    return table.append_column("unsafe", pa.array(unsafe, pa.float32()))


@pytest.fixture(scope="module")
def samples() -> pa.Table:
    return catalogue(CLEAN | CRAFTED)


@pytest.fixture(scope="module")
def evidence(samples: pa.Table) -> Evidence:
    row = strings(samples, "source_id").tolist().index("opted_out")
    digest = opt_out.digest("salt", samples["sample_id"][row].as_py())
    return Evidence(opt_out.OptOut("salt", frozenset({digest})), fingerprints([encoded(scene(26))], DECODE))


def reasons(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> dict[str, str]:
    verdicts = apply_filters(samples, limits, evidence)
    return dict(zip(strings(samples, "source_id"), strings(verdicts, "reason"), strict=True))


def test_each_crafted_sample_is_dropped_for_its_reason_and_no_clean_one_is(
    samples: pa.Table, evidence: Evidence
) -> None:
    assert reasons(samples, LIMITS, evidence) == dict.fromkeys(CLEAN, "") | {name: name for name in CRAFTED}
    assert [rule.name for rule in FILTERS] == list(CRAFTED)


@pytest.mark.parametrize("name", [rule.name for rule in FILTERS])
def test_a_rule_alone_drops_its_crafted_sample_and_no_clean_one(
    name: str, samples: pa.Table, evidence: Evidence
) -> None:
    found = reasons(samples, replace(LIMITS, enabled=(name,)), evidence)
    assert found[name] == name
    assert not any(found[clean] for clean in CLEAN)


@pytest.mark.parametrize("name", [rule.name for rule in FILTERS])
def test_a_rule_that_is_off_drops_nothing(name: str, samples: pa.Table, evidence: Evidence) -> None:
    limits = replace(LIMITS, enabled=tuple(other for other in LIMITS.enabled if other != name))
    assert name not in reasons(samples, limits, evidence).values()
    assert f"filter.{name}" not in versions(limits)
    assert len(versions(limits)) == len(FILTERS) - 1


def test_in_is_kept_plus_dropped_and_every_drop_is_explained(samples: pa.Table, evidence: Evidence) -> None:
    verdicts = apply_filters(samples, LIMITS, evidence).to_pylist()
    assert [row["sample_id"] for row in verdicts] == samples["sample_id"].to_pylist()
    kept = {row["sample_id"] for row in verdicts if row["kept"]}
    version = {rule.name: rule.version for rule in FILTERS}
    for row in verdicts:
        assert row["kept"] == (row["reason"] == "")
        assert row["rule_version"] == version.get(row["reason"], 0)
        if row["duplicate_of"]:
            assert row["duplicate_of"] in kept
            assert row["reason"].endswith("_duplicate")
    by_reason = {row["reason"]: row["measure"] for row in verdicts}
    assert by_reason["too_small"] == 40
    assert by_reason["odd_aspect"] == pytest.approx(5)
    assert by_reason["blurred"] < LIMITS.min_view_sharpness
    assert by_reason["near_duplicate"] <= LIMITS.near.max_hamming_bits
    assert by_reason["opted_out"] is None


def test_a_cluster_is_the_kept_copy_and_all_that_repeat_it(samples: pa.Table, evidence: Evidence) -> None:
    verdicts = apply_filters(samples, LIMITS, evidence).to_pylist()
    clusters: dict[str, list[str]] = {}
    for name, row in zip(strings(samples, "source_id"), verdicts, strict=True):
        if row["cluster"]:
            clusters.setdefault(row["cluster"], []).append(name)
    assert sorted(clusters.values()) == [["clean 0", "exact_duplicate"], ["clean 1", "near_duplicate"]]
    ids = {row["sample_id"] for row in verdicts if row["kept"]}
    assert set(clusters) <= ids


def test_features_decide_between_what_looks_alike(samples: pa.Table, evidence: Evidence) -> None:
    limits = replace(LIMITS, near=replace(LIMITS.near, min_feature_cosine=0.9))
    names = dict(zip(samples["sample_id"].to_pylist(), strings(samples, "source_id"), strict=True))
    asked = list[str]()

    def features(of: Sequence[str]) -> np.ndarray:
        asked.extend(names[one] for one in of)
        return np.array([[1.0, 0.0] if names[one].startswith("clean") else [0.0, 1.0] for one in of], np.float32)

    found = reasons(samples, limits, replace(evidence, features=features))
    assert found["near_duplicate"] == ""
    assert asked == ["clean 1", "near_duplicate"]
    agreeing = replace(evidence, features=lambda of: np.ones((len(of), 2), np.float32))
    assert reasons(samples, limits, agreeing)["near_duplicate"] == "near_duplicate"
    with pytest.raises(ValueError, match="features is None"):
        apply_filters(samples, limits, evidence)


def test_opting_out_by_address_and_evaluation_by_bytes(samples: pa.Table) -> None:
    named = samples.set_column(
        samples.column_names.index("attribution"),
        "attribution",
        pa.array(["HTTPS://Example.org/a.jpg#x"] + [""] * (samples.num_rows - 1)),
    )
    listed = opt_out.OptOut("s", frozenset({opt_out.digest("s", "https://example.org/a.jpg")}))
    found = reasons(named, LIMITS, Evidence(listed, fingerprints([CLEAN["clean 3"], b"damaged"], DECODE)))
    assert found["clean 0"] == "opted_out"
    assert found["clean 3"] == "in_evaluation"
    assert found["clean 4"] == ""


def test_without_lists_the_two_rules_drop_nothing(samples: pa.Table) -> None:
    found = reasons(samples, LIMITS, Evidence())
    assert found["opted_out"] == found["in_evaluation"] == ""


def test_an_unknown_filter_is_refused(samples: pa.Table) -> None:
    with pytest.raises(ValueError, match=r"\['smelly'\] are unknown; allowed: \['opted_out'"):
        apply_filters(samples, replace(LIMITS, enabled=("smelly",)), Evidence())


def test_a_rule_whose_measure_was_not_taken_says_what_to_set(samples: pa.Table) -> None:
    unmeasured = samples.set_column(
        samples.column_names.index("repetition"), "repetition", pa.nulls(samples.num_rows, pa.float32())
    )
    with pytest.raises(ValueError, match=r"set ingest\.intake\.with_repetition"):
        apply_filters(unmeasured, LIMITS, Evidence())


@pytest.mark.parametrize("column", ["style", "concept"])
def test_styles_and_named_concepts_are_never_merged(column: str, samples: pa.Table, evidence: Evidence) -> None:
    different = pa.array([f"{column} {row}" for row in range(samples.num_rows)])
    table = samples.set_column(samples.column_names.index(column), column, different)
    assert "near_duplicate" not in reasons(table, LIMITS, evidence).values()
