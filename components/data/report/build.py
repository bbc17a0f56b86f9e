"""One version's report from its tables and images: the summary and the page."""

from pathlib import Path

from components.data.config import DecodeLimits, ReportExamples
from components.data.report import examples, page, summary, thumbnails
from components.data.report.tables import Tables, fates


def build_report(
    tables: Tables,
    images: Path,
    show: ReportExamples,
    limits: DecodeLimits,
    previous: summary.Summary | None = None,
    previous_name: str = "",
) -> tuple[summary.Summary, str]:
    """The summary and the page; equal bytes for equal tables. DataError if tables and images are of different runs."""
    few = examples.choose_examples(tables, fates(tables), show.per_reason)
    clusters = examples.choose_clusters(tables.verdicts, show.num_clusters, show.per_cluster)
    texts = examples.choose_texts(tables.ocr, show.num_clusters)
    data = thumbnails.read_bytes(images, tables.catalogue, examples.pictured(few, clusters, texts))
    gallery = page.Gallery(few, clusters, texts, thumbnails.thumbnails(data, show.thumbnail_px, limits))
    figures = summary.summarise(tables)
    return figures, page.render_page(figures, gallery, previous, previous_name)
