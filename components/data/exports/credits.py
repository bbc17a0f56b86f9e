"""Whose images these are: the licences, and a page that names every maker."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.data.arrow import pc

UNKNOWN = "unknown"
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,40}")


@dataclass(frozen=True)
class Credit:
    """So many images of one source, licence and maker."""

    source: str
    licence: str
    creator: str
    attribution: str
    num_images: int


def credits_of(rows: pa.Table) -> list[Credit]:
    """Every (source, licence, maker), by name."""
    names = ["source", "licence", "creator", "attribution"]
    filled = pa.table(
        {name: pc.if_else(pc.equal(pc.fill_null(rows[name], ""), ""), UNKNOWN, rows[name]) for name in names}
    )
    counted = filled.group_by(names, use_threads=False).aggregate([([], "count_all")])
    found = [Credit(**{name: row[name] for name in names}, num_images=row["count_all"]) for row in counted.to_pylist()]
    return sorted(found, key=lambda c: (c.source, c.licence, c.creator, c.attribution))


def licences(credits: Sequence[Credit]) -> list[str]:
    """The licences, each once, by name."""
    return sorted({credit.licence for credit in credits})


def licence_address(licence: str) -> str:
    """The SPDX page of a licence that looks like an SPDX identifier, else its own words."""
    is_spdx = licence != UNKNOWN and _SPDX.fullmatch(licence)
    return f"https://spdx.org/licenses/{licence}.html" if is_spdx else licence


def attribution_page(credits: Sequence[Credit]) -> str:
    """ATTRIBUTION.md: a table of sources, licences and makers. What people wrote is shown, never taken as markup."""
    lines = ["# Attribution", "", "Whoever passes these images on passes this page on with them.", ""]
    lines += ["| source | licence | maker | images | attribution |", "|---|---|---|---:|---|"]
    for c in credits:
        words = " | ".join(map(plain, (c.source, c.licence, c.creator)))
        lines.append(f"| {words} | {c.num_images} | {plain(c.attribution)} |")
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """`text` on one line, with everything that Markdown or HTML would act on made harmless."""
    return re.sub(r"([\\|`*_\[\]#!~])", r"\\\1", html.escape(" ".join(text.split())))
