"""The report's page, as a Jinja template: one file, no script, nothing loaded, light and dark.

It is a string and not a file of its own, so that what the evaluate stage depends on is seen by the import graph.
"""

from components.data.report.look import whole_page
from components.evaluation.page_enhancer import ENHANCER
from components.evaluation.page_worst import WORST

_STYLE = """
main { max-width: 76rem; overflow-wrap: anywhere; } table { overflow-wrap: break-word; }
table.scores { min-width: 68rem; } .scores td.name { min-width: 11rem; }
td.name { width: 22%; } td.name span, td.score span { display: block; color: var(--quiet); font-size: .82rem;
  line-height: 1.4; }
td.score { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.score b { font-weight: 650; font-size: 1.1rem; line-height: 1.4; }
td.score .better, td.score .worse { color: var(--ink); }
td.score .better::before { content: "▲ "; color: var(--bar); }
td.score .worse::before { content: "▼ "; color: var(--chance); }
td.name .ahead { color: var(--ink); margin-top: .2rem; }
td.plot { width: 20%; padding-left: 1rem; padding-right: 0; padding-top: .9rem; }
td.plot .track + .track { margin-top: .45rem; }
.track .band { background: var(--band); top: -.15rem; bottom: -.15rem; border-radius: .15rem; }
.track .bar.before { opacity: .45; }
.track .chance, .track .real { width: 2px; margin-left: -1px; top: -.25rem; bottom: -.25rem; }
.track .chance { background: var(--chance); } .track .real { background: var(--real); }
.key .chance, .key .real { width: 2px; height: 1rem; }
.key .chance { background: var(--chance); } .key .real { background: var(--real); }
.key .bar.before { opacity: .45; }
.finds { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem;
  margin: 1.25rem 0 1rem; padding: 0; list-style: none; }
.finds li { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem .9rem; }
.finds.four { grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
.finds b { display: block; font-size: 1.5rem; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.finds span { display: block; color: var(--quiet); font-size: .82rem; line-height: 1.4; }
table.drift { min-width: 40rem; } table.scores.grid { min-width: 52rem; }
.drift th.n { max-width: 9rem; white-space: normal; }
.finds.one { max-width: 24rem; } .drift td.score b { font-size: 1rem; }
.chart img { display: block; width: 100%; max-width: 75rem; border-radius: .5rem; background: #ffffff; }
p.chart { max-width: none; margin: 1.5rem 0 0; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem;
  margin: 1.5rem 0 0; padding: 0; list-style: none; }
.examples li { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.row { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); }
figure { margin: 0; } figure + figure { border-left: 1px solid var(--line); }
figure img { width: 100%; aspect-ratio: 1; display: block; background: #ffffff; }
figcaption { color: var(--quiet); font-size: .72rem; padding: .3rem .2rem 0; text-align: center; }
table.worst { min-width: 56rem; } .worst td { width: 20%; } .worst td:first-child { width: 8rem; }
.worst td > span { display: block; color: var(--quiet); font-size: .82rem; line-height: 1.4; }
.worst b { color: var(--ink); } .worst img { width: 7rem; aspect-ratio: 1; display: block; margin: .3rem 0;
  background: #ffffff; border-radius: .3rem; }
.examples p { margin: 0; padding: .3rem .7rem .65rem; font-size: .82rem; line-height: 1.35; }
"""

_PARTS = """
{% macro fact_of(title, value, text) %}
<li><span>{{ title }}</span>
<b>{{ value }}</b>
<span>{{ text }}</span></li>
{% endmacro %}
{% macro won_of(rate) %}
{{ fact_of(rate.model|label ~ " preferred to " ~ rate.over|label, rate.share|percent ~ " %",
  "95 % interval " ~ rate.low|percent ~ " – " ~ rate.high|percent ~ ": "
  ~ ("no difference seen" if rate.low <= 0.5 <= rate.high else "beyond noise") ~ ". " ~ rate.num_prompts
  ~ " prompts, " ~ (rate.num_drawings ~ " drawings of each, " if rate.num_drawings > 1 else "") ~ rate.num_ties
  ~ " ties, which count half.") }}
{% endmacro %}
{% macro score_of(row, without=none) %}
<td class="score"><b>{{ row.value|amount(row.unit) }}{{ " %" if row.unit == "share" }}</b>
<span>{{ row.low|amount(row.unit) }} – {{ row.high|amount(row.unit) }}</span>
{% if without %}
<span>without: {{ without.value|amount(row.unit) }}</span>
{% endif %}
{% if row.difference %}
{% set moved = row.difference %}
<span>{{ moved.value|signed(row.unit) }} ({{ moved.low|signed(row.unit) }} to {{ moved.high|signed(row.unit) }})</span>
<span class="{{ moved.verdict if moved.verdict in ("better", "worse") }}">{{ moved.verdict
  if moved.verdict in ("better", "worse") else "no difference seen" }}</span>
{% endif %}</td>
{% endmacro %}
"""

_MAIN = """
{% macro drift_of(drift) %}
<section>
<h2>Drift of the few-step model</h2>
<p class="quiet">What the few-step model draws beside what its teacher draws, for the same prompts of each domain, at
the weights that were kept: its share of the teacher's score. 100 % is as good, less is worse.</p>
<ul class="finds one">
{{ fact_of("network evaluations of one image", drift.num_evaluations,
  drift.times_fewer|number ~ " times fewer than the 100 of 50 steps with guidance.") }}
</ul>
{% if drift.rows %}
<div class="scroll"><table class="drift">
<thead><tr><th>domain</th>
{% for measure in drift.measures %}
<th class="n">{{ measure|measure }}</th>
{% endfor %}</tr></thead>
<tbody>
{% for domain, found in drift.table.items() %}
<tr><td>{{ domain }}</td>
{% for measure in drift.measures %}
<td class="score">
{% if measure in found %}
{% set row = found[measure] %}
<b>{{ row.ratio|percent }} %</b>
<span>{{ row.student|number }} / {{ row.teacher|number }}</span>
{% if not drift.is_kept(row) %}<span class="worse">below the aim</span>{% endif %}
{% else %}–{% endif %}
</td>
{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
<p class="quiet">Below each share stand the student's score and the teacher's. The aim is 95 % of every score and 90 %
of the diversity. Of a distance the share is the teacher's over the student's.</p>
{% endif %}
<p class="chart"><img src="{{ drift.chart_u8|png }}"
alt="Shares of the teacher's scores over the student's updates"></p>
</section>
{% endmacro %}
<h1>What the models draw when they are asked for something new</h1>
<p class="quiet">The models of one chain were asked for the same prompts, all held out of training, from the same noise.
Each score stands beside what guessing would reach and what the real held-out images reach in the eyes of the same
judge. The judges are small and were trained on this project's own training images: every score is a proxy.</p>
<dl>
{% for name, value in report.facts.items() %}
  <div><dt>{{ name }}</dt><dd>{{ value|fact }}</dd></div>
{% endfor %}
</dl>
{% for section in report.sections %}
<section>
<h2>{{ section.title }}</h2>
<p class="quiet">{{ section.question }} {{ section.num_prompts }} prompts, one image of each model.</p>
{% if loop.first and report.win_rates %}
<ul class="finds">
{% for rate in report.win_rates %}
{{ won_of(rate) }}
{% for guard in report.guards if guard.model == rate.model %}
{{ fact_of(guard.name ~ ", " ~ guard.model|label ~ " ÷ " ~ guard.over|label, "%.3f"|format(guard.ratio),
  "95 % interval " ~ "%.3f"|format(guard.low) ~ " – " ~ "%.3f"|format(guard.high) ~ ". "
  ~ ("Kept" if guard.is_kept else "Not kept") ~ ": it may worsen by " ~ (100 * guard.limit)|number ~ " %.") }}
{% endfor %}
{% endfor %}
</ul>
<p class="quiet">Preferred by the judges that made the preference pairs, weighted
({% for name, weight in report.judges.items() %}{{ name|replace("_", " ") }} {{ weight|number }}{{ ", " if not loop.last
}}{% endfor %}). They are models: no person was asked. The classifiers behind the style and category accuracy below are
part of them; the image-text alignment and the distance are not.</p>
{% endif %}
{% if section.rows %}
<div class="scroll"><table class="scores">
<thead><tr><th>metric</th>{% for model in report.models %}<th class="n">{{ model|label }}</th>{% endfor %}
<th class="n">chance</th><th class="n">real images</th><th></th></tr></thead>
<tbody>
{% for rows in section.rows|by_metric %}
{% set first = rows[0] %}
<tr>
<td class="name">{{ first.name }}<span>{{ first.explanation }}</span>
{% if first.key in section.winners %}
{% set ahead = section.winners[first.key] %}
<span class="ahead">{{ ahead|label ~ " is ahead of all" if ahead else "no winner: no lead beyond noise" }}</span>
{% endif %}</td>
{% for row in rows %}
{{ score_of(row) }}
{% endfor %}
<td class="n">{{ first.chance|amount(first.unit) }}</td>
<td class="n">{{ first.real|amount(first.unit) }}</td>
{% set scale = 1.0 if first.unit == "share" else
  [first.chance, first.real, rows|map(attribute="high")|max, 1e-12]|max * 1.05 %}
<td class="plot"><div role="img" aria-label="bars of the values to the left">
{% for row in rows %}
<div class="track">
<i class="bar{{ "" if loop.last else " before" }}" style="width:{{ (row.value / scale)|place }}%"></i>
<i class="band"
style="left:{{ (row.low / scale)|place }}%;width:{{ (row.high / scale)|place - (row.low / scale)|place }}%"></i>
<i class="chance" style="left:{{ (row.chance / scale)|place }}%"></i>
<i class="real" style="left:{{ (row.real / scale)|place }}%"></i></div>
{% endfor %}
</div></td>
</tr>
{% endfor %}
</tbody>
</table></div>
<p class="key"><span><i class="bar"></i>{{ report.models[-1]|label }}</span>
{% if report.models|length > 1 %}
<span><i class="bar before"></i>{{ report.models[:-1]|map("label")|join(", ") }}, above it in this order</span>
{% endif %}
<span><i class="band"></i>95 % interval</span>
<span><i class="chance"></i>chance</span><span><i class="real"></i>real images</span></p>
{% endif %}
{% if section.examples %}
<ul class="examples">
{% for example in section.examples %}
<li><div class="row">
{% for model in report.models %}
<figure><img src="{{ example.generated_u8[model]|png }}" alt="{{ model|label }}: {{ example.prompt }}">
<figcaption>{{ model|label }}</figcaption></figure>
{% endfor %}
<figure><img src="{{ example.real_u8|png }}" alt="real: {{ example.prompt }}"><figcaption>real</figcaption></figure>
</div>
<p>{{ example.prompt }}</p></li>
{% endfor %}
</ul>
{% endif %}
</section>
{% if loop.first and report.costs %}
{{ costs_of(report.costs) }}
{% endif %}
{% if loop.first and report.drift %}
{{ drift_of(report.drift) }}
{% endif %}
{% if loop.first and report.enhancer %}
{{ enhancer_of(report.enhancer) }}
{% endif %}
{% endfor %}
{% if report.worst %}
{{ worst_of(report.worst) }}
{% endif %}
<footer class="quiet">
<p>Below each later model's score stands its difference to the model left of it, with a 95 % interval of a paired
bootstrap over the prompts. Where that interval holds 0 the two cannot be told apart, however the scores look; and of
twenty intervals one is expected to miss. Shares have Wilson intervals, all else bootstrap intervals.</p>
<p>A winner is named where its lead over each of the others is beyond noise, with intervals as wide as so many
comparisons need.</p>
<p>The Lite0 Fréchet and kernel distances are measured on EfficientNet-Lite0 features and cannot be compared with any
FID or KID; less is better, and their chance level is what decoded noise scores. The kernel distance is unbiased, so it
may fall below 0 and does not depend on the number of images. Alignment and retrieval use a two-tower model of this
project; its score on real images says how far it can be trusted, and its chance level is that of other prompts.</p>
{% if report.credits %}
<p>Real images: {{ report.credits|join("; ") }}.</p>
{% endif %}
</footer>
"""

TEMPLATE = whole_page("Easel report", _STYLE, _PARTS + ENHANCER + WORST + _MAIN)
