"""How Easel's pages look: one head and one sheet of plain CSS, light and dark, that load nothing."""

_SHEET = """
:root {
  --ground: #fbfaf8; --sheet: #ffffff; --ink: #1d1c1a; --quiet: #6b6863; --line: #e4e1dc;
  --bar: #2f6f6a; --band: rgba(47, 111, 106, .22); --track: #efece7; --chance: #b4562b; --real: #1d1c1a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #161615; --sheet: #1f1e1d; --ink: #ece9e4; --quiet: #a19d96; --line: #35332f;
    --bar: #6fb8b0; --band: rgba(111, 184, 176, .28); --track: #2b2a27; --chance: #e39a6b; --real: #ece9e4;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.02em; }
h2 { font-size: 1.3rem; margin: 3.5rem 0 .25rem; letter-spacing: -.01em; }
p { max-width: 44rem; margin: .25rem 0 1rem; }
.quiet { color: var(--quiet); }
dl { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 1.5rem 0 0; padding: 1rem 0 0;
  border-top: 1px solid var(--line); }
dt { color: var(--quiet); font-size: .8rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 0; }
th, td { text-align: left; padding: .6rem .75rem .6rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 500; font-size: .8rem; color: var(--quiet); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.track { position: relative; height: .55rem; border-radius: .3rem; background: var(--track); }
.track i { position: absolute; top: 0; bottom: 0; }
.track .bar { left: 0; background: var(--bar); border-radius: .3rem; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; font-size: .82rem; color: var(--quiet); margin: .75rem 0 0; }
.key i { display: inline-block; vertical-align: middle; margin-right: .4rem; height: .55rem; width: 1.4rem; }
.key .bar { background: var(--bar); border-radius: .3rem; } .key .band { background: var(--band); }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .85rem; }
"""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
"""


def whole_page(title: str, style: str, main: str) -> str:
    """A page, or the template of one: `main` below the head, in our look and its own `style`."""
    head = f"{_HEAD}<title>{title}</title>\n<style>{_SHEET}{style}</style>\n</head>"
    return f"{head}\n<body>\n<main>\n{main.strip()}\n</main>\n</body>\n</html>\n"
