"""Data Docs that load nothing: without scripts, web addresses of others, or the pictures of an advertisement.

Great Expectations writes pages that fetch style sheets and scripts from five hosts. What is left here are its tables
and the words in them, under a policy that forbids every script and every request, and a small style of our own.
"""

import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from components.quality.outcome import Outcome

_HEAD = """<head>
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d1c1a; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #e4e1dc; }
.text-success { color: #2f6f6a; } .text-danger { color: #b4562b; } .badge { font-weight: 600; }
.fa-times::before { content: "✗ "; } .fa-check-circle::before { content: "✓ "; }
.fa-exclamation-triangle::before { content: "! "; }
.modal, .d-none, nav, .sticky, .collapse, .btn, footer, #footer, .newsletter-container { display: none; }
</style>"""
_WITH_CONTENT = re.compile(r"<(script|style|iframe|form)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_ALONE = re.compile(r"<(?:link|img|script|iframe|form)\b[^>]*>", re.IGNORECASE)
_HANDLER = re.compile(r"""\son[a-z]+=(["']).*?\1""", re.IGNORECASE | re.DOTALL)
_ADDRESS = re.compile(r"""\b(href|src)=(["'])(?:https?:)?//.*?\2""", re.IGNORECASE)


def make_pages_safe(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Rewrite every page below `folder` so that it runs and fetches nothing; delete what the pages no longer use.

    The first page is our own: that of the library lists its pages by a script.
    """
    (folder / "index.html").write_text(_index(folder, outcomes), encoding="utf-8")
    shutil.rmtree(folder / "static", ignore_errors=True)
    for page in folder.rglob("*.html"):
        page.write_text(safe_page(page.read_text(encoding="utf-8")), encoding="utf-8")


def safe_page(page: str) -> str:
    """One page without scripts, links to style sheets, pictures and frames, and with a policy that forbids them."""
    bare = _HANDLER.sub("", _ADDRESS.sub("", _ALONE.sub("", _WITH_CONTENT.sub("", page))))
    return bare.replace("<head>", _HEAD, 1)


def _index(folder: Path, outcomes: Sequence[Outcome]) -> str:
    lines = ["<table><tr><th>suite</th><th>expectation</th><th>observed</th><th>allowed</th><th></th></tr>"]
    for one in sorted(outcomes, key=lambda outcome: outcome.passed):
        page = next(folder.glob(f"validations/{one.suite}/**/*.html"))
        suite = f'<a href="{page.relative_to(folder).as_posix()}">{html.escape(one.suite)}</a>'
        words = "</td><td>".join(map(html.escape, (one.expectation, one.observed, one.allowed)))
        mark = "✓" if one.passed else f'<span class="text-danger">✗ {html.escape(one.remedy)}</span>'
        lines.append(f"<tr><td>{suite}</td><td>{words}</td><td>{mark}</td></tr>")
    failed = sum(not one.passed for one in outcomes)
    title = f"{failed} of {len(outcomes)} expectations failed" if failed else f"All {len(outcomes)} expectations passed"
    body = f"<h1>{title}</h1>{''.join(lines)}</table>"
    return f'<!doctype html><html lang="en"><head><title>{title}</title></head><body>{body}</body></html>'
