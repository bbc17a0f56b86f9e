"""Data Docs that load nothing: without scripts, web addresses of others, or the pictures of an advertisement.

Great Expectations writes pages that fetch style sheets and scripts from five hosts. What is left here are its tables
and the words in them, under a policy that forbids every script and every request, and a small style of our own.
"""

import re
import shutil
from pathlib import Path

_HEAD = """<head>
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d1c1a; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #e4e1dc; }
.text-success { color: #2f6f6a; } .text-danger { color: #b4562b; } .badge { font-weight: 600; }
.modal, .d-none, nav, .ge-walkthrough-modal { display: none; }
</style>"""
_WITH_CONTENT = re.compile(r"<(script|style|iframe|form)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_ALONE = re.compile(r"<(?:link|img|script|iframe|form)\b[^>]*>", re.IGNORECASE)
_ADDRESS = re.compile(r"""\b(href|src)=(["'])(?:https?:)?//.*?\2""", re.IGNORECASE)


def make_pages_safe(folder: Path) -> None:
    """Rewrite every page below `folder` so that it runs and fetches nothing; delete what the pages no longer use."""
    shutil.rmtree(folder / "static", ignore_errors=True)
    for page in folder.rglob("*.html"):
        page.write_text(safe_page(page.read_text(encoding="utf-8")), encoding="utf-8")


def safe_page(page: str) -> str:
    """One page without scripts, links to style sheets, pictures and frames, and with a policy that forbids them."""
    bare = _ADDRESS.sub("", _ALONE.sub("", _WITH_CONTENT.sub("", page)))
    return bare.replace("<head>", _HEAD, 1)
