"""Numbers about tables that no single column holds: orphans, shares, scripts, and the distance from an earlier version.

All by arrow, column at a time: nothing here loops over rows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from components.data import records
from components.data.arrow import pc

Facts = dict[str, float]
Summary = Mapping[str, Any]

_SCRIPTS = {"zh": r"\p{Han}", "ja": r"[\p{Han}\p{Hiragana}\p{Katakana}]", "ko": r"\p{Hangul}", "ru": r"\p{Cyrillic}"}
_OTHER_SCRIPT = r"\p{Latin}"
_QUOTED = r'"[^"]*"|“[^”]*”|「[^」]*」|『[^』]*』'


def num_orphans(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> int:
    """How many of `ids` are not among `known`; "" and null point nowhere and are no orphans."""
    named = ids.filter(pc.fill_null(pc.not_equal(ids, ""), False))
    return len(named) - (pc.sum(pc.is_in(named, value_set=known.combine_chunks())).as_py() or 0)


def num_missing(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> int:
    """How many of `known` do not occur in `ids`."""
    return len(known) - (pc.sum(pc.is_in(known, value_set=ids.combine_chunks())).as_py() or 0)


def shares(keys: pa.ChunkedArray, weights: pa.ChunkedArray | None = None) -> dict[str, float]:
    """Each key's share of the rows, or of `weights`, in the order of the keys' names; empty if there is nothing."""
    mass = pa.table({"key": keys, "mass": pa.array(np.ones(len(keys))) if weights is None else weights})
    grouped = mass.group_by("key").aggregate([("mass", "sum")])
    total = pc.sum(grouped["mass_sum"]).as_py() or 0
    pairs = zip(grouped["key"].to_pylist(), grouped["mass_sum"].to_pylist(), strict=True)
    return {key or "": value / total for key, value in sorted(pairs, key=lambda p: p[0] or "")} if total else {}


def own_script_frac(texts: pa.ChunkedArray, language: str) -> Float[np.ndarray, " n"]:
    """Share of each text's letters that are of the script `language` is written in; 1 for a text without letters.

    Languages without a script of their own here count as Latin. Text in quotes is left out.
    """
    plain = pc.replace_substring_regex(pc.fill_null(texts, ""), _QUOTED, "")
    letters = pc.count_substring_regex(plain, r"\p{L}").to_numpy()
    own = pc.count_substring_regex(plain, _SCRIPTS.get(language, _OTHER_SCRIPT)).to_numpy()
    return np.where(letters > 0, own / np.maximum(letters, 1), 1.0)


def script_margin(captions: pa.Table, least: Mapping[str, float]) -> Float[np.ndarray, " n"]:
    """How far each caption's `own_script_frac` lies above the least of its language; -1 where none is allowed."""
    margin = np.full(captions.num_rows, -1.0)
    languages = captions.column("language").combine_chunks()
    for language, frac in least.items():
        rows = np.flatnonzero(pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False))
        margin[rows] = own_script_frac(captions.column("text").take(rows), language) - frac
    return margin


def mean_chars(captions: pa.Table) -> dict[str, float]:
    """Mean caption length in characters, by language."""
    lengths = pa.table({"language": captions["language"], "chars": pc.utf8_length(captions["text"])})
    grouped = lengths.group_by("language").aggregate([("chars", "mean")]).sort_by("language")
    return dict(zip(grouped["language"].to_pylist(), grouped["chars_mean"].to_pylist(), strict=True))


def total_variation(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Half the summed absolute difference of two sets of shares: 0 if equal, 1 if they have nothing in common."""
    return sum(abs(now.get(key, 0.0) - before.get(key, 0.0)) for key in {*now, *before}) / 2


def relative_change(now: float, before: float) -> float:
    """|now / before - 1|; 0 if both are 0, infinite if only `before` is."""
    if before == 0:
        return 0.0 if now == 0 else float("inf")
    return abs(now / before - 1)


def tables_summary(categories: pa.Table, captions: pa.Table, scores: pa.Table) -> dict[str, Any]:
    """What a later version of the tables is compared with."""
    aesthetic = scores.column("aesthetic").to_numpy().astype(np.float64)
    return {
        "category_fracs": shares(categories["category"]),
        "caption_mean_chars": mean_chars(captions),
        "score_mean": float(aesthetic.mean()) if len(aesthetic) else 0.0,
        "score_std": float(aesthetic.std()) if len(aesthetic) else 0.0,
    }


def tables_drift(now: Summary, before: Summary) -> Facts:
    """How far `tables_summary` has moved."""
    lengths_now, lengths_before = now["caption_mean_chars"], before["caption_mean_chars"]
    changes = [relative_change(lengths_now.get(k, 0.0), lengths_before.get(k, 0.0)) for k in lengths_before]
    shift, spread = abs(now["score_mean"] - before["score_mean"]), before["score_std"]
    return {
        "category_distance": total_variation(now["category_fracs"], before["category_fracs"]),
        "caption_length_change": max(changes, default=0.0),
        "score_shift": shift / spread if spread else relative_change(now["score_mean"], before["score_mean"]),
        "score_spread_change": relative_change(now["score_std"], spread),
    }


def summaries(tables_dir: Path) -> dict[str, dict[str, Any]]:
    """The summaries of the tables in `tables_dir`; of the selection only if there is one."""
    schemas = {"categories": records.CATEGORIES, "captions": records.CAPTIONS, "scores": records.SCORES}
    tables = {name: records.read_table(tables_dir / f"{name}.parquet", schema) for name, schema in schemas.items()}
    selection = tables_dir / "selection.parquet"
    chosen = records.read_table(selection, records.SELECTION) if selection.exists() else None
    return {"tables": tables_summary(**tables)} | (
        {"selection": selection_summary(chosen)} if chosen is not None else {}
    )


def selection_summary(selection: pa.Table) -> dict[str, Any]:
    """What a later selection is compared with: the shares of the categories as they are drawn."""
    return {"category_fracs": shares(selection["category"], selection["probability"])}


def selection_drift(now: Summary, before: Summary) -> Facts:
    """How far `selection_summary` has moved."""
    return {"category_distance": total_variation(now["category_fracs"], before["category_fracs"])}
