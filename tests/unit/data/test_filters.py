"""Filters: one crafted sample per reason, reasons that add up, switches that work."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data.config import DecodeLimits, FilterLimits
from components.data.filters import FILTERS, MEASURED, apply_filters, measure_batch, versions

DECODE = DecodeLimits(10**7, 10**7, 1e4)
LIMITS = FilterLimits(tuple(rule.name for rule in FILTERS), 20, 0.9, 0.5, 4, 10.0)
NUM_GOOD = 5


def webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True)
    return out.getvalue()


def good(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def crafted() -> dict[str, np.ndarray]:
    dot = np.full((64, 64, 3), 255, np.uint8)
    dot[30:34, 30:34] = 0
    faint = np.full((64, 64, 3), 255, np.uint8)
    faint[4:60, 4:60] = [215, 215, 215]
    one_level = np.full((64, 64, 3), 128, np.uint8)
    one_level[:, :32] = [255, 63, 128]  # another colour of nearly the same luma
    retouched = good(0).copy()
    retouched[0, 0] ^= 3
    return {
        "too_small": good(77, 16),
        "nearly_empty": dot,
        "flat": one_level,
        "exact_duplicate": good(0),
        "near_duplicate": retouched,
    }


def samples() -> pa.Table:
    pictures = [*(good(seed) for seed in range(NUM_GOOD)), *crafted().values()]
    names = [*(f"good{k}" for k in range(NUM_GOOD)), *crafted()]
    measured = measure_batch(pa.table({"bytes": [webp(picture) for picture in pictures]}), DECODE)
    base = {
        "sample_id": names,
        "width": [picture.shape[1] for picture in pictures],
        "height": [picture.shape[0] for picture in pictures],
        "pixel_sha256": ["good0" if name == "exact_duplicate" else name for name in names],
        "style": ["clip art"] * len(names),
        "concept": [""] * len(names),
        "tags_en": [["tag"] * (2 if name == "good0" else 1) for name in names],
        "num_bytes": [1000] * len(names),
    }
    return pa.table({**base, **{name: measured.column(name) for name in MEASURED.names}})


def test_each_crafted_sample_is_dropped_for_its_reason() -> None:
    verdicts = apply_filters(samples(), LIMITS)
    assert dict(zip(verdicts["sample_id"].to_pylist(), verdicts["reason"].to_pylist(), strict=True)) == {
        **{f"good{k}": "" for k in range(NUM_GOOD)},
        **{name: name for name in crafted()},
    }
    assert {rule.name for rule in FILTERS} == set(crafted())


def test_in_is_kept_plus_dropped_and_repeats_name_a_kept_one() -> None:
    verdicts = apply_filters(samples(), LIMITS).to_pylist()
    assert len(verdicts) == NUM_GOOD + len(FILTERS)
    kept = {row["sample_id"] for row in verdicts if row["kept"]}
    for row in verdicts:
        assert row["kept"] == (row["reason"] == "")
        if row["duplicate_of"]:
            assert row["duplicate_of"] in kept
            assert row["reason"].endswith("_duplicate")
    assert sum(bool(row["duplicate_of"]) for row in verdicts) == 2


@pytest.mark.parametrize("name", [rule.name for rule in FILTERS])
def test_a_filter_that_is_off_drops_nothing(name: str) -> None:
    enabled = tuple(other for other in LIMITS.enabled if other != name)
    verdicts = apply_filters(samples(), replace(LIMITS, enabled=enabled))
    assert name not in verdicts["reason"].to_pylist()
    assert f"filter.{name}" not in versions(replace(LIMITS, enabled=enabled))


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['smelly'\] are unknown; allowed: \['too_small'"):
        apply_filters(samples(), replace(LIMITS, enabled=("smelly",)))


@pytest.mark.parametrize("column", ["style", "concept"])
def test_styles_and_named_concepts_are_never_merged(column: str) -> None:
    table = samples()
    different = pa.array([f"{column} {row}" for row in range(table.num_rows)])
    verdicts = apply_filters(table.set_column(table.column_names.index(column), column, different), LIMITS)
    assert "near_duplicate" not in verdicts["reason"].to_pylist()
