"""Stage `data_report`: what this version of the data set holds, what was left out and why, on one page."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.data.config import DecodeLimits, ReportExamples


class Params(BaseModel, frozen=True, extra="forbid"):
    """How much is pictured; `limits` is what one image may cost to decode."""

    show: ReportExamples
    limits: DecodeLimits


@dataclass(frozen=True)
class Metrics:
    """offered = dropped + encoded; what landing refused is among both."""

    offered_images: int
    dropped_images: int
    encoded_images: int
    clusters_of_repeats: int
    page_bytes: int


def data_report(
    p: Params,
    *,
    images: Path,
    catalogue: Path,
    refusals: Path,
    quarantine: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    ocr: Path,
    scores: Path,
    selection: Path,
    report: Path,
) -> Metrics:
    """Count what passed each gate and what was dropped for which reason; picture examples of both."""
    from components.data.report.build import build_report
    from components.data.report.summary import write_summary
    from components.data.report.tables import read_tables

    tables = read_tables(
        catalogue=catalogue,
        refusals=refusals,
        quarantine=quarantine,
        verdicts=verdicts,
        categories=categories,
        captions=captions,
        ocr=ocr,
        scores=scores,
        selection=selection,
    )
    summary, page = build_report(tables, images, p.show, p.limits)
    report.mkdir(parents=True)
    write_summary(summary, report / "summary.json")
    (report / "index.html").write_text(page, encoding="utf-8")
    offered, encoded = summary["funnel"][0]["offered"], summary["funnel"][-1]["kept"]
    return Metrics(
        offered_images=offered,
        dropped_images=offered - encoded,
        encoded_images=encoded,
        clusters_of_repeats=summary["duplicates"]["clusters"],
        page_bytes=len(page.encode()),
    )
