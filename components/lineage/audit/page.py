"""The document as the body of one HTML page: no script, nothing loaded, escaped; fit for phones and for A4 paper.

Every figure links to an appendix on the page that holds the row of the ledger, as `easel lineage show` prints it.
"""

from collections.abc import Callable
from typing import Any, cast

from jinja2 import Environment, StrictUndefined

from components.lineage.audit.appendix import appendix_of, shown
from components.lineage.audit.document import Document, Figure, Link, missing

STYLE = """
main { max-width: 60rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2rem 0 .25rem; } h4 { font-size: .95rem; margin: 1.4rem 0 .1rem; font-weight: 600; }
.minor { font-size: .95rem; margin: 1.4rem 0 .1rem; font-weight: 600; letter-spacing: 0; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; margin: 1.25rem 0 0; font-size: .9rem; }
.scroll th { overflow-wrap: normal; }
.draft { border-left: .25rem solid var(--chance); padding: .5rem 0 .5rem 1rem; max-width: none; margin: 0 0 1.5rem; }
.lines { display: block; border: 0; padding: 0; margin: .5rem 0 0; }
.lines div { display: grid; grid-template-columns: minmax(0, 16rem) minmax(0, 1fr); gap: .1rem 1.5rem;
  padding: .45rem 0; border-bottom: 1px solid var(--line); }
.lines dt { font-size: .9rem; } .lines dd { font-size: .95rem; }
.tag { font-size: .75rem; color: var(--quiet); white-space: nowrap; }
.lack { color: var(--chance); }
td { font-size: .9rem; } td.num { text-align: right; font-variant-numeric: tabular-nums; }
a { color: inherit; text-decoration-color: var(--bar); text-underline-offset: .15em; }
a:hover, a:focus-visible { color: var(--bar); }
:target { background: var(--band); }
code { font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
ul { padding-left: 1.2rem; } li { margin: .15rem 0; }
.lack ul { columns: 2 18rem; }
@media (max-width: 36rem) {
  main { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  .lines div { grid-template-columns: minmax(0, 1fr); }
  .lines dt { color: var(--quiet); font-size: .8rem; }
  .scroll table { min-width: 36rem; }
}
@page { size: A4; margin: 16mm 14mm; }
@media print {
  :root { --ground: #ffffff; --sheet: #ffffff; --ink: #000000; --quiet: #444444; --line: #cccccc; --bar: #2f6f6a;
    --chance: #b4562b; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } nav { display: none; }
  .scroll { overflow: visible; } .scroll table { min-width: 0; }
  h2, h3, h4, h5 { break-after: avoid; } tr, .lines div { break-inside: avoid; } thead { display: table-header-group; }
  td, .lines dd, .lines dt { font-size: 9pt; } code { font-size: 7.5pt; }
}
"""

_BODY = """
{%- macro cell(parts) -%}
{%- for part in parts -%}
{%- if part is string -%}{{ part }}{%- else -%}
<a href="#{{ appendix.anchor(part) }}" title="{{ appendix.reference(part) }}">{{ part.value|shown }}</a>
{%- endif -%}
{%- endfor -%}
{%- endmacro -%}
{%- macro table_of(table, depth) %}
<h{{ depth }} class="minor">{{ table.title }}</h{{ depth }}>
{% if table.rows %}
<div class="scroll"><table>
<thead><tr>{% for name in table.header %}<th{% if table.rows[0][loop.index0]|is_number %} class="n"{% endif %}>
{{- name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>{% for one in row %}<td{% if one|is_number %} class="num"{% endif %}>{{ cell(one) }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% else %}<p class="quiet">{{ table.empty }}</p>{% endif %}
{% if table.note %}<p class="quiet">{{ table.note }}</p>{% endif %}
{% endmacro %}
{%- macro section_of(section, depth) %}
<section id="s{{ section.number }}">
<h{{ depth }}>{{ section.number }} {{ section.title }}</h{{ depth }}>
{% if section.lines %}
<dl class="lines">
{% for line in section.lines %}
<div><dt>{{ line.label }}</dt><dd>{{ cell(line.parts) }}
{% if line.state == "stated" %}<span class="tag">stated by the provider</span>
{% elif line.state == "not stated" %}<span class="lack">not stated</span>
{% elif line.state == "not recorded" %}<span class="tag">not recorded</span>{% endif %}</dd></div>
{% endfor %}
</dl>
{% endif %}
{% for table in section.tables %}{{ table_of(table, depth + 1) }}{% endfor %}
{% for part in section.parts %}{{ section_of(part, 3 if depth == 2 else 4) }}{% endfor %}
</section>
{% endmacro %}
<h1>{{ document.title }}</h1>
<p class="draft">{{ document.draft }}</p>
<p class="quiet">About <code>record:{{ appendix.short[document.subject] }}</code>
{%- if document.log_root %}, as the ledger stood at {{ document.log_size }} entries with root
<code>{{ document.log_root }}</code>{% endif %}. Every underlined figure leads to the row of the ledger that it comes
from, at the end of this page; <code>easel lineage show</code> prints that record.</p>
<nav aria-label="On this page">
{% for section in document.sections %}<a href="#s{{ section.number }}">{{ section.number }} {{ section.title }}</a>
{% endfor %}
<a href="#rules">Appendix A: rules</a> <a href="#rows">Appendix B: rows</a>
</nav>
{% if missing %}
<div class="lack"><h2 class="minor">Not stated: {{ missing|length }} fields are missing</h2>
<ul>{% for one in missing %}<li>{{ one }}</li>{% endfor %}</ul></div>
{% endif %}
{% if document.remarks %}
<h2 class="minor">What the records say against themselves</h2>
<ul>{% for one in document.remarks %}<li>{{ one }}</li>{% endfor %}</ul>
{% endif %}
{% for section in document.sections %}{{ section_of(section, 2) }}{% endfor %}
<section id="rules">
<h2>Appendix A: how figures follow from rows</h2>
<p class="quiet">A figure that is itself a row of the ledger leads to appendix B at once.</p>
<div class="scroll"><table><thead><tr><th>name</th><th>rule</th><th>places</th></tr></thead><tbody>
{% for one in appendix.derivations %}
<tr id="{{ one.anchor }}"><td>{{ one.anchor }}</td><td>{{ one.rule }}</td>
<td>{% for row in one.rows %}<a href="#{{ row.anchor }}"><code>{{ row.shown }}</code></a>{{ " " }}{% endfor %}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section id="rows">
<h2>Appendix B: rows of the ledger</h2>
{% for record, rows in appendix.records.items() %}
<h3 class="minor">record:{{ appendix.short[record] }}</h3>
<p class="quiet"><code>{{ record }}</code></p>
<div class="scroll"><table><thead><tr><th>place</th><th>value</th></tr></thead><tbody>
{% for row in rows %}
<tr id="{{ row.anchor }}"><td><code>{{ row.shown }}</code></td><td>{{ row.value }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endfor %}
</section>
"""


def page_body(document: Document, value_of: Callable[[Link], str]) -> str:
    """What stands between `<main>` and `</main>`; `STYLE` goes with it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = cast(dict[str, Any], environment.filters)
    filters |= {"shown": shown, "is_number": _is_number}
    template = environment.from_string(_BODY)
    return template.render(document=document, appendix=appendix_of(document, value_of), missing=missing(document))


def _is_number(parts: tuple[str | Figure, ...]) -> bool:
    """Whether a cell is one figure that counts or measures."""
    figures = [part for part in parts if isinstance(part, Figure)]
    if len(parts) != 1 or not figures:
        return False
    value = figures[0].value
    return isinstance(value, int) or shown(value) != value or value.replace(".", "", 1).isdigit()
