"""The lineage page as a Jinja template: one file, no script, nothing loaded, light and dark.

A click on a node is a link to the record's part of the page, which stands at the side for as long as it is the target:
what a script would do, without one.
"""

_MACROS = """
{% macro link(id) %}
{% if id in nodes %}<a class="mono" href="#record-{{ id }}">{{ short[id] }}</a>
{% else %}<span class="mono">{{ id[:12] }}</span>{% endif %}
{% endmacro %}
{% macro table_of(title, pairs) %}
{% if pairs %}
<h3>{{ title }}</h3>
<table><tbody>
{% for name, value in pairs.items() if value != "" %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% endmacro %}
{% macro items_of(title, items) %}
{% if items %}
<h3>{{ title }}</h3>
<table><tbody>
{% for item in items %}
<tr><td>{{ item.path }}<br><span class="quiet">{{ item.role }}{% if item.made_by %}, made by {{ link(item.made_by) }}
{% endif %}</span></td>
<td><span class="mono">{{ item.sha256 }}</span><br><span class="quiet">{{ item.size|number }} bytes,
{{ item.count|number }} {{ "file" if item.count == 1 else "files" }}{% for name, count in item.licences.items() %},
{{ name }} {{ count|number }}{% endfor %}</span></td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% endmacro %}
{% macro changes_of(title, changes, cut=64) %}
{% if changes %}
<h3>{{ title }}</h3>
<div class="scroll"><table>
<thead><tr><th>what</th><th>before</th><th>after</th></tr></thead><tbody>
{% for change in changes[:200] %}
<tr><td>{{ change.place }}</td><td>{{ change.old[:cut] or "–" }}</td><td>{{ change.new[:cut] or "–" }}</td></tr>
{% endfor %}
</tbody></table></div>
{% if changes|length > 200 %}<p class="quiet">And {{ changes|length - 200 }} more.</p>{% endif %}
{% endif %}
{% endmacro %}
{% macro samples_of(title, changes) %}
{% if changes %}
{% if title %}<h3>{{ title }}</h3>{% endif %}
<div class="scroll"><table>
<thead><tr><th>stage</th><th>role</th><th class="n">before</th><th class="n">after</th><th class="n">came</th>
<th class="n">went</th>{% if title %}<th>by source and licence</th>{% endif %}</tr></thead><tbody>
{% for one in changes %}
<tr><td>{{ one.stage or "in all" }}</td><td>{{ one.role }}</td><td class="n">{{ one.old_count|number }}</td>
<td class="n">{{ one.new_count|number }}</td><td class="n">+{{ one.num_added|number }}</td>
<td class="n">−{{ one.num_removed|number }}</td>
{% if title %}<td>{% for counts in one.by.values() %}{% for name, moved in counts.items() %}
{{ name }} +{{ moved[0]|number }} −{{ moved[1]|number }}<br>{% endfor %}{% endfor %}</td>{% endif %}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% endmacro %}
"""

_DRAWING = """
<svg width="{{ drawing.width + 4 }}" height="{{ drawing.height + 4 }}"
viewBox="-2 -2 {{ drawing.width + 4 }} {{ drawing.height + 4 }}"
role="group" aria-label="What stands on what, from the sources above to what was made of them below">
{% for edge in drawing.edges %}<path class="{{ edge.kind }}" d="{{ edge.path }}"/>
{% endfor %}
{% for node in drawing.nodes %}
<g class="holder">
{% if node.link %}<a class="node {{ node.kind }}" href="#record-{{ node.link }}">
{% else %}<g class="node {{ node.kind }}">{% endif %}
<title>{{ node.full }}</title>
<rect x="{{ node.x }}" y="{{ node.y }}" width="{{ node.width }}" height="{{ node.height }}" rx="7"/>
<text x="{{ node.middle }}" y="{{ node.y + 20 }}">{{ node.title }}</text>
<text class="under" x="{{ node.middle }}" y="{{ node.y + 36 }}">{{ node.under }}</text>
{% if node.mark %}<circle class="mark" cx="{{ node.x + node.width - 10 }}" cy="{{ node.y + 10 }}" r="4"/>{% endif %}
{{ "</a>"|safe if node.link else "</g>"|safe }}
<g class="more">{% for path in node.more %}<path d="{{ path }}"/>{% endfor %}</g>
</g>
{% endfor %}
</svg>
"""

_RECORD = """
<section class="record" id="record-{{ one.id }}" aria-label="{{ one.record.subject }}">
<a class="close" href="#none" aria-label="close">✕</a>
<h2>{{ one.record.subject }}</h2>
<p class="quiet">{{ one.record.kind }}, record <span class="mono">{{ one.id }}</span></p>
{% for mark in one.marks %}<span class="tag">{{ mark }}</span> {% endfor %}
{{ table_of("When, where and who", one.circumstances) }}
{{ table_of("Notes", one.notes) }}
{{ table_of("Decision", one.decision) }}
{% if one.record.checks %}
<h3>Checks</h3>
<table><tbody>
{% for check in one.record.checks %}
<tr><td>{{ check.name }}</td><td>{{ "passed" if check.is_passed else "failed" }}{% if check.waived_by %}, waived by
{{ check.waived_by }}{% endif %}<br><span class="quiet">{{ check.detail }}</span></td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% if one.record.samples.sets %}
<h3>Sample sets</h3>
<table><tbody>
{% for found in one.record.samples.sets %}
<tr><td>{{ found.role }}: {{ found.count|number }}</td><td class="mono">{{ found.root }}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{{ table_of("Samples besides", one.samples) }}
{{ table_of("Measures", one.record.measures) }}
{{ items_of("Read", one.record.inputs) }}
{{ items_of("Wrote", one.record.outputs) }}
{% if one.parents or one.children %}
<h3>Stands on</h3>
<p>{% for id in one.parents %}{{ names[id] }} {{ link(id) }} {% else %}nothing that was recorded{% endfor %}</p>
<h3>Stand on it</h3>
<p>{% for id in one.children %}{{ names[id] }} {{ link(id) }} {% else %}nothing yet{% endfor %}</p>
{% endif %}
{{ table_of("Parameters", one.parameters) }}
{{ table_of("Code", one.code) }}
{{ table_of("Environment", one.environment) }}
{{ table_of("In other tools", one.record.systems) }}
</section>
"""

_MAIN = """
<h1>Lineage of {{ reference }}</h1>
<p class="quiet">{{ asked.record.subject }}, record
<a class="mono" href="#record-{{ asked.id }}">{{ asked.id[:16] }}</a>: what it was made from, back to the
sources, and what was made of it. Every record is a file of the ledger whose SHA-256 is its name, so that nothing here
need be believed: <code>easel verify</code> walks the same way over the bytes.</p>
<dl>
{% for name, value in facts.items() %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}
</dl>
<nav aria-label="On this page">
<a href="#graph">Graph</a> <a href="#show">What happened</a> <a href="#sources">Sources</a>
<a href="#samples">Which images</a> <a href="#diff">What differs</a> <a href="#verify">Does it hold?</a>
<a href="#takedowns">Takedowns</a> <a href="#log">The log</a>
</nav>
<section id="graph">
<h2>From the sources to the model</h2>
<p class="quiet">Time runs down. Lines lead from a record to what was made of it, broken ones from an evaluation to what
read its report; one that a longer way tells already appears when the pointer is on its end. A click shows the
record.</p>
<div class="drawing scroll">""" + _DRAWING + """</div>
<p class="key"><span><i class="box source"></i>source: no record made it</span>
<span><i class="box"></i>stage</span><span><i class="box training"></i>training</span>
<span><i class="box decision"></i>decision</span><span><i class="box mark"></i>mind its marks</span></p>
</section>
<section id="show">
<h2>What happened</h2>
<p class="quiet"><code>easel lineage show {{ command }}</code> prints it as a tree.</p>
<div class="scroll"><table>
<thead><tr><th>record</th><th>what</th><th>when, UTC</th><th class="n">seconds</th><th>by</th><th>commit</th>
<th>samples</th><th>measured</th></tr></thead><tbody>
{% for one in records %}
<tr><td>{{ link(one.id) }}</td>
<td>{{ one.record.subject }}{% for mark in one.marks %} <span class="tag">{{ mark }}</span>{% endfor %}</td>
<td class="when">{{ one.record.started_at[:16]|replace("T", " ") }}</td><td class="n">{{ one.seconds|number }}</td>
<td>{{ one.who }}</td><td class="mono">{{ one.commit[:10] }}</td>
<td>{% for found in one.record.samples.sets %}{{ found.role }} {{ found.count|number }}<br>{% endfor %}</td>
<td>{% for name, value in one.figures %}{{ name }} {{ value }}<br>{% endfor %}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section id="sources">
<h2>Sources</h2>
<p class="quiet">What was read and no record made.</p>
<div class="scroll"><table>
<thead><tr><th>path</th><th class="n">files</th><th class="n">bytes</th><th>SHA-256</th><th>licences</th></tr></thead>
<tbody>
{% for item in sources %}
<tr><td>{{ item.path }}</td><td class="n">{{ item.count|number }}</td><td class="n">{{ item.size|number }}</td>
<td class="mono">{{ item.sha256 }}</td>
<td>{% for name, count in item.licences.items() %}{{ name }} {{ count|number }}<br>{% endfor %}</td></tr>
{% endfor %}
</tbody></table></div>
</section>
<section id="samples">
<h2>Which images</h2>
<p class="quiet">Each set has a Merkle root in its record, and its members lie in the ledger. Whether an image was seen,
or drawn in training, a command tells; with a proof that anybody can check against the root, also if it was not.</p>
<pre><code>easel lineage sample photo.jpg
easel lineage proof photo.jpg --in {{ command }}</code></pre>
<div class="scroll"><table>
<thead><tr><th>stage</th><th>role</th><th class="n">samples</th><th>root</th><th>record</th></tr></thead><tbody>
{% for one in records %}{% for found in one.record.samples.sets %}
<tr><td>{{ one.record.subject }}</td><td>{{ found.role }}</td><td class="n">{{ found.count|number }}</td>
<td class="mono">{{ found.root }}</td><td>{{ link(one.id) }}</td></tr>
{% endfor %}{% endfor %}
</tbody></table></div>
</section>
<section id="diff">
<h2>What differs from before</h2>
{% if differences %}
<p class="quiet">Compared with {{ compared_with }}: the histories of {{ link(differences.old) }} and
{{ link(differences.new) }}, as <code>easel lineage diff</code> tells them.</p>
<dl>
<div><dt>stages only now</dt><dd>{{ differences.stages_added|join(", ") or "none" }}</dd></div>
<div><dt>stages only before</dt><dd>{{ differences.stages_removed|join(", ") or "none" }}</dd></div>
<div><dt>records that both share</dt><dd>{{ differences.stages_shared|length }}</dd></div>
</dl>
{{ changes_of("Parameters", differences.parameters) }}
{{ changes_of("Commits", differences.commits, 12) }}
{{ changes_of("Modules", differences.modules, 12) }}
{{ changes_of("Environment", differences.environment) }}
{{ changes_of("Sources", differences.inputs, 12) }}
{{ samples_of("Samples in and out", differences.samples|selectattr("stage", "equalto", "")|list) }}
{% set by_stage = differences.samples|selectattr("stage")|list %}
{% if by_stage %}
<details><summary>by stage</summary>
{{ samples_of("", by_stage) }}
</details>
{% endif %}
{{ changes_of("Measures", measures) }}
{% else %}
<p>There is nothing to compare with yet: this is the first of its kind in the ledger.</p>
{% endif %}
</section>
<section id="verify">
<h2>Does it hold?</h2>
<p class="quiet"><code>easel verify {{ command }}</code>, as it stood when this page was written.</p>
{% if verified is none %}
<p>Nothing to ask: this is no exported model that is signed.</p>
{% elif verified.is_asked %}
<p class="verdict{{ " bad" if verified.fault }}">
{{ verified.fault or "Everything holds, from the weights to the source images." }}</p>
{% else %}
<p>Not asked: {{ verified.fault }}</p>
{% endif %}
{% if verified and verified.steps %}
<ol class="steps">
{% for name, found in verified.steps %}<li>{{ name }}: <span class="quiet">{{ found }}</span></li>
{% endfor %}
</ol>
{% endif %}
</section>
<section id="takedowns">
<h2>Takedowns</h2>
{% if takedowns %}
<div class="scroll"><table>
<thead><tr><th>record</th><th>when, UTC</th><th>by</th><th>why</th><th>what</th></tr></thead><tbody>
{% for one in takedowns %}
<tr><td>{{ link(one.id) }}</td>
<td class="when">{{ one.record.started_at[:16]|replace("T", " ") }}</td><td>{{ one.who }}</td>
<td>{{ one.record.people.get("reason", "") }}</td>
<td>{% for name, value in (one.decision|items|list)[:12] %}<span class="quiet">{{ name }}</span> {{ value }}<br>
{% endfor %}{% if one.decision|length > 12 %}and {{ one.decision|length - 12 }} more in its record{% endif %}</td>
</tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p>Nobody has had an image taken down: the ledger holds no such record.</p>
{% endif %}
</section>
<section id="log">
<h2>The log</h2>
{% if head %}
<p class="quiet">The records' ids are the leaves of an append-only Merkle tree (RFC 6962). Its head is signed; whoever
kept an earlier one can have it proven that nothing was removed since. Whose key it is this page cannot tell: compare
its id with what the owner of the ledger told you.</p>
<dl>
{% for name, value in head.items() %}<div><dt>{{ name }}</dt><dd class="mono">{{ value }}</dd></div>
{% endfor %}
</dl>
{% else %}
<p>The log has no signed head.</p>
{% endif %}
</section>
{% for one in details %}""" + _RECORD + """{% endfor %}
"""  # fmt: skip

TEMPLATE = _MACROS + _MAIN
