"""The data report's page, as a Jinja template: one file, no script, nothing loaded.

It is a string and not a file of its own, so that what the stage depends on is seen by the import graph.
"""

from components.data.report.look import whole_page

_STYLE = """
.delta { font-size: .78em; font-weight: 400; margin-left: .35em; color: var(--quiet); white-space: nowrap; }
.delta.up { color: var(--bar); } .delta.down { color: var(--chance); }
p, li, dd, .why, .name { overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 0; text-transform: capitalize; }
.gate { padding: 1.1rem 0; border-bottom: 1px solid var(--line); }
.gate header { display: grid; grid-template-columns: 8rem minmax(0, 1fr) 15rem; gap: 1rem; align-items: center; }
.gate header p { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.gate .track { height: .8rem; } .gate .track .offered { left: 0; background: var(--band); border-radius: .3rem; }
.reason { display: grid; grid-template-columns: 8rem minmax(0, 1fr); gap: .25rem 1rem; margin: .9rem 0 0; }
.reason .why { font-size: .88rem; line-height: 1.35; }
.reason .why b { display: block; font-size: 1.05rem; font-variant-numeric: tabular-nums; }
.shown { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0; padding: 0; list-style: none; min-width: 0; }
.shown li { max-width: 9.2rem; }
.few { min-width: 0; } .few table { margin: 0; font-size: .82rem; } .few td { padding: .25rem .75rem .25rem 0; }
.few th { padding: 0 .75rem .25rem 0; }
.shown .pair { display: flex; align-items: center; gap: .2rem; color: var(--quiet); font-size: .8rem; }
.shown img, .cluster img { width: 64px; height: 64px; display: block; background: #ffffff; border-radius: .35rem;
  border: 1px solid var(--line); }
.shown span.name { display: block; max-width: 9.2rem; font-size: .72rem; line-height: 1.3; color: var(--quiet);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.shown li.single, .shown li.single span.name { max-width: 66px; }
.branch { border-bottom: 1px solid var(--line); }
.branch summary, .twig, .heads { display: grid; align-items: center; gap: .25rem 1rem; padding: .5rem 0;
  grid-template-columns: minmax(8rem, 1.3fr) 6.5rem 6.5rem 7rem minmax(6rem, 1.4fr); }
.branch summary { cursor: pointer; list-style-position: inside; }
.branch summary::before { content: none; }
.branch .name { overflow-wrap: anywhere; }
.branch > summary > .name::before { content: "▸ "; color: var(--quiet); }
.branch[open] > summary > .name::before { content: "▾ "; }
.branch.leaf > summary { cursor: default; } .branch.leaf > summary > .name::before { content: "\\2007 "; }
.branch summary::-webkit-details-marker { display: none; }
.branch summary { list-style: none; font-weight: 550; }
.twig { font-size: .88rem; padding: .22rem 0; color: var(--quiet); } .twig .name { padding-left: 1.1rem; }
.twigs { padding-bottom: .6rem; }
.heads { font-size: .8rem; color: var(--quiet); border-bottom: 1px solid var(--line); padding-top: 1rem; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.two { display: grid; gap: 2px; } .two i { display: block; height: .38rem; border-radius: .2rem; min-width: 1px; }
.two .before { background: var(--band); } .two .after { background: var(--bar); }
.plot { display: block; width: 100%; height: 9rem; margin-top: 1rem; border-bottom: 1px solid var(--line); }
.plot .kept, .spark .kept { fill: var(--band); } .plot .drawn { fill: none; stroke: var(--bar); stroke-width: 2; }
.plot .all, .spark .all { fill: var(--bar); }
.spark { display: block; width: 9rem; height: 1.6rem; }
.axis { display: flex; justify-content: space-between; font-size: .78rem; color: var(--quiet); }
.cluster { display: flex; flex-wrap: wrap; gap: .35rem; align-items: center; padding: .6rem 0;
  border-bottom: 1px solid var(--line); }
.cluster b { flex: 0 0 6.5rem; font-weight: 500; font-size: .88rem; }
.cluster img:first-of-type { outline: 2px solid var(--bar); outline-offset: 1px; margin-right: .5rem; }
.clusters { columns: 2 24rem; column-gap: 2.5rem; margin-top: 1rem; } .cluster { break-inside: avoid; }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 2.5rem;
  align-items: start; margin-top: 1rem; }
.maps h3 { font-size: .88rem; font-weight: 500; text-transform: none; color: var(--quiet); }
.grid { display: block; width: 100%; max-width: 27rem; } .grid .cell { fill: var(--bar); }
.grid text { fill: var(--quiet); font-size: 11px; } .grid .frame { fill: var(--track); }
.columns { columns: 2 24rem; column-gap: 2.5rem; } .columns > div { break-inside: avoid; }
td.word { overflow-wrap: break-word; min-width: 5rem; max-width: 22rem; } .wide table { min-width: 44rem; }
.read { columns: 3 15rem; column-gap: 1.5rem; margin: 1rem 0 0; padding: 0; list-style: none; }
.read li { display: flex; gap: .7rem; align-items: center; padding: .3rem 0; break-inside: avoid; font-size: .85rem;
  line-height: 1.35; overflow-wrap: anywhere; }
.read img { flex: none; width: 64px; height: 64px; border: 1px solid var(--line); border-radius: .35rem; }
@media (max-width: 46rem) {
  main { padding: 2rem 1rem 3rem; } h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; }
  dl { gap: .6rem 1.5rem; }
  .gate header { grid-template-columns: minmax(0, 1fr) auto; gap: .3rem 1rem; }
  .gate header .track { grid-column: 1 / -1; grid-row: 2; }
  .reason { grid-template-columns: minmax(0, 1fr); } .reason .why b { display: inline; margin-right: .3rem; }
  .branch summary, .twig, .heads { grid-template-columns: minmax(0, 1fr) 4.4rem 4.4rem; gap: .2rem .6rem; }
  .branch summary .two, .twig .two { grid-column: 1 / -1; } .heads > :last-child { display: none; }
  .branch .selected, .heads .selected { display: none; }
  .shown { gap: .4rem .25rem; } .shown img, .cluster img, .read img { width: 52px; height: 52px; }
  .shown li.single, .shown li.single span.name { max-width: 54px; } .shown li, .shown span.name { max-width: 7.4rem; }
  .cluster b { flex-basis: 4.5rem; }
  th, td { padding-right: .5rem; }
}
"""

_MACROS = """
{% macro delta(figure) %}
{% if figure.change %}
<span class="delta {{ 'up' if figure.change > 0 else 'down' }}">{{ figure.change|signed }}</span>
{%- endif %}
{% endmacro %}
{% macro count(figure) %}{{ figure.now|number }}{{ delta(figure) }}{% endmacro %}
{% macro picture(sample_id, alt) %}
<img src="{{ pictures[sample_id] }}" alt="{{ alt|short }}" title="{{ sample_id }}" width="64" height="64"
 loading="lazy">
{% endmacro %}
{% macro shares(row) %}
<span class="two" role="img" aria-label="share before {{ (row.kept.now / totals.kept)|percent }} %,
 after {{ (row.drawn.now / totals.drawn)|percent }} %">
<i class="before" style="width:{{ (row.kept.now / totals.kept / totals.widest)|percent }}%"></i>
<i class="after" style="width:{{ (row.drawn.now / totals.drawn / totals.widest)|percent }}%"></i></span>
{% endmacro %}
{% macro figures(row) %}
<span class="num">{{ count(row.kept) }}</span><span class="num selected">{{ count(row.selected) }}</span>
<span class="num">{{ count(row.drawn) }}</span>{{ shares(row) }}
{% endmacro %}
{% macro files(few) %}
{% if few %}
{% set with_size = few[0].num_bytes is not none %}
<div class="scroll"><table>
<thead><tr><th>file</th>{% if with_size %}<th class="n">size</th>{% endif %}<th>what is wrong</th></tr></thead>
<tbody>
{% for one in few %}
<tr><td class="word">{{ one.name|short }}</td>{% if with_size %}<td class="n">{{ one.num_bytes|size }}</td>{% endif %}
<td class="word">{{ one.detail|short }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% endmacro %}
{% macro histogram(edges, counts, class, css, line=none) %}
<svg class="{{ css }}" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
{% for bar in bars(edges, counts) %}
{% if bar.height %}
<rect class="{{ class }}" x="{{ bar.x|place }}" width="{{ bar.width|place }}" y="{{ (100 - bar.height)|place }}"
 height="{{ bar.height|place }}"/>
{% endif %}
{% endfor %}
{% if line %}<path class="drawn" vector-effect="non-scaling-stroke" d="{{ outline(edges, line) }}"/>{% endif %}
</svg>
{% endmacro %}
"""

_MAIN = """
<h1>What is in this data set, and what was left out</h1>
<p class="quiet">Every image that came in is counted at every gate, and every image that was dropped has a reason.
{% if compared_with %}A small figure says what changed since the version <b>{{ compared_with }}</b>;
where there is none, nothing did.{% endif %}</p>
<dl>
{% for name, value in facts %}
<div><dt>{{ name }}</dt><dd>{{ count(value) if value.now is defined else value }}</dd></div>
{% endfor %}
</dl>

<section><h2>From raw images to training</h2>
<p class="quiet">Dark is what passed a gate, light what came to it. The examples are drawn by lot among the dropped;
where an image repeats another one, the one that was kept stands to its right. Of files that hold no sound image the
first names are told; what landing refused counts once, also where it is a whole archive.</p>
{% for gate in funnel if gate.reasons or gate.gate != "land" %}
<div class="gate">
<header><h3>{{ gate.gate }}</h3>
<div class="track" aria-hidden="true"><i class="offered" style="width:{{ (gate.offered.now / offered)|percent }}%"></i>
<i class="bar" style="width:{{ (gate.kept.now / offered)|percent }}%"></i></div>
<p>{{ gate.offered.now|number }} → <b>{{ gate.kept.now|number }}</b>{{ delta(gate.kept) }}</p></header>
{% for reason, figure in gate.reasons.items() %}
<div class="reason">
<div class="why"><b>{{ count(figure) }}</b>{{ reason|said }}</div>
{% set few = examples.get((gate.gate, reason), []) %}
<div class="few">
<ul class="shown">
{% for one in few|selectattr("is_pictured") %}
{% if one.sample_id and one.repeats %}
<li><div class="pair">{{ picture(one.sample_id, one.name) }}={{ picture(one.repeats, "kept instead") }}</div>
<span class="name">{{ one.name|short }}</span></li>
{% else %}
<li class="single">{{ picture(one.sample_id or one.repeats, one.name) }}
<span class="name">{{ one.name|short }}</span></li>
{% endif %}
{% endfor %}
</ul>
{{ files(few|rejectattr("is_pictured")|list) }}
</div>
</div>
{% endfor %}
</div>
{% endfor %}
</section>

<section><h2>Categories before and after sampling</h2>
<p class="quiet">Kept is what the filters left, selected what training may use or holds out, drawn how many images of an
epoch are expected from here. The bars are shares: light of the kept images, dark of the draws.</p>
<div class="heads"><span>category</span><span class="num">kept</span><span class="num selected">selected</span>
<span class="num">drawn</span><span>share before and after</span></div>
{% for branch in tree %}
<details class="branch{{ '' if branch.twigs else ' leaf' }}"><summary>
<span class="name">{{ branch.names[0]|short or "none: the classifier abstained" }}</span>
{{ figures(branch) }}</summary>
{% if branch.twigs %}
<div class="twigs">
{% for twig in branch.twigs %}
<div class="twig"><span class="name">{{ twig.names[1]|short or "no subcategory" }}</span>{{ figures(twig) }}</div>
{% endfor %}
</div>
{% endif %}
</details>
{% endfor %}
{% if more_branches %}<p class="quiet">And {{ more_branches|number }} smaller ones, in summary.json.</p>{% endif %}
</section>

<section><h2>Licences, sources and styles</h2>
<div class="columns">
{% for name in ("licence", "source", "style") %}
<div class="scroll"><table>
<thead><tr><th>{{ name }}</th><th class="n">kept</th><th class="n">selected</th><th class="n">drawn</th></tr></thead>
<tbody>
{% for row in groups[name][:max_rows] %}
<tr><td class="word">{{ row.names[0]|short or "not stated" }}</td><td class="n">{{ count(row.kept) }}</td>
<td class="n">{{ count(row.selected) }}</td><td class="n">{{ count(row.drawn) }}</td></tr>
{% endfor %}
</tbody></table>
{% if groups[name]|length > max_rows %}
<p class="quiet">And {{ (groups[name]|length - max_rows)|number }} rarer ones, in summary.json.</p>
{% endif %}
</div>
{% endfor %}
</div>
</section>

<section><h2>Looks</h2>
<p class="quiet">The aesthetic score of every kept image (light), and of the draws of an epoch (line).
{% if aesthetic.note %}It is {{ aesthetic.note }}. {% endif %}
The mean is
{{ aesthetic.mean_kept|score }} over the kept images and {{ aesthetic.mean_drawn|score }} over the draws
{%- if before %} (before: {{ before.aesthetic.mean_kept|score }} and {{ before.aesthetic.mean_drawn|score }})
{%- endif %}.</p>
{{ histogram(aesthetic.edges, aesthetic.kept, "kept", "plot", aesthetic.drawn) }}
<div class="axis"><span>{{ aesthetic.edges[0]|score }}</span>
<span>{{ ((aesthetic.edges[0] + aesthetic.edges[-1]) / 2)|score }}</span>
<span>{{ aesthetic.edges[-1]|score }}</span></div>
<p class="key"><span><i class="band"></i>kept images</span><span><i class="bar"></i>draws</span>
<span>each scaled to its own highest bar</span></p>
</section>

<section><h2>Captions</h2>
<p class="quiet">How long the captions of each kind are, in characters: 5 % are shorter than the first length,
5 % longer than the last.</p>
<div class="scroll wide"><table>
<thead><tr><th>kind</th><th>language</th>{% if has_maker %}<th>maker</th>{% endif %}<th class="n">captions</th>
<th class="n">images</th><th class="n">5 %</th><th class="n">median</th><th class="n">95 %</th>
<th>lengths</th></tr></thead>
<tbody>
{% for row in captions[:max_rows] %}
<tr><td class="word">{{ row.kind|short }}</td><td>{{ row.language|short }}</td>
{% if has_maker %}<td class="word">{{ row.maker|short }}</td>{% endif %}
<td class="n">{{ count(row.number) }}</td><td class="n">{{ count(row.images) }}</td>
<td class="n">{{ row.p5|number }}</td><td class="n">{{ count(row.median) }}</td><td class="n">{{ row.p95|number }}</td>
<td>{{ histogram(row.histogram.edges, row.histogram.captions, "all", "spark") }}</td></tr>
{% endfor %}
</tbody></table></div>
</section>

<section><h2>Text in the pictures</h2>
<p class="quiet">{{ count(text.read) }} images were read for visible text, and some was found in
{{ count(text.found) }}.</p>
<ul class="read">
{% for sample_id, words in texts %}
<li>{{ picture(sample_id, words) }}<span>“{{ words|short }}”</span></li>
{% endfor %}
</ul>
</section>

<section><h2>Repeats</h2>
<p class="quiet">{{ count(repeats.clusters) }} images stood more than once among the catalogued ones, exactly or nearly,
and {{ count(repeats.dropped) }} copies were dropped. The largest clusters, the kept copy first.</p>
<div class="clusters">
{% for size, members in clusters %}
<div class="cluster"><b>{{ size|number }} alike</b>
{% for sample_id in members %}{{ picture(sample_id, "one of a cluster of repeats") }}{% endfor %}
</div>
{% else %}
<p class="quiet">None.</p>
{% endfor %}
</div>
</section>

<section><h2>Sizes</h2>
<div class="maps">
<div><h3>Width (to the right) and height (up) in pixels; darker is more images</h3>
<svg class="grid" viewBox="-34 -6 {{ 100 * 3 + 46 }} {{ 100 * 3 + 30 }}" role="img" aria-label="map of image sizes">
<rect class="frame" width="300" height="300" rx="4"/>
{% for square in grid.squares %}
<rect class="cell" x="{{ (300 * square.x / grid.side)|place }}" y="{{ (300 * square.y / grid.side)|place }}"
 width="{{ (300 / grid.side)|place }}" height="{{ (300 / grid.side)|place }}"
 fill-opacity="{{ square.count|shade(grid.most) }}"><title>{{ square.sides }}: {{ square.count|number }}</title></rect>
{% endfor %}
{% for mark in grid.marks %}
<text x="{{ (300 * mark.at / grid.side)|place }}" y="316" text-anchor="middle">{{ mark.px }}</text>
<text x="-6" y="{{ (300 - 300 * mark.at / grid.side + 4)|place }}" text-anchor="end">{{ mark.px }}</text>
{% endfor %}
</svg></div>
<div><h3>Aspect, width over height</h3>
{{ histogram(aspects.edges, aspects.images, "all", "plot") }}
<div class="axis"><span>1:8</span><span>1:4</span><span>1:2</span><span>1:1</span><span>2:1</span><span>4:1</span>
<span>8:1</span></div></div>
</div>
</section>

<footer class="quiet"><p>Version {{ version }}. What the page shows stands in summary.json beside it, for machines.
<code>easel data show ID</code> tells everything of one image; an image's id stands in its tooltip.</p></footer>
"""

TEMPLATE = _MACROS + whole_page("Easel data report", _STYLE, _MAIN)
