"""The page of a benchmark, as a Jinja template: one file, no script, nothing loaded, light and dark."""

from components.data.report.look import whole_page

EXPLAINED = {
    "word_accuracy": "of all words that were asked for, the share that can be read (Chinese: characters)",
    "edit_distance": "edits from what was read to what was asked for, by length; less is better",
    "text": "the benchmark's formula of edits and words; a short text scores high though nothing is read",
    "diversity": "half the distance between two drawings of a prompt; 0 where all are alike",
    "overall": "the mean of the parts",
    "srcc": "Spearman's rank correlation with the tiers that people gave",
    "plcc": "Pearson's correlation with the tiers that people gave",
    "krcc": "Kendall's rank correlation with the tiers that people gave",
}
_STYLE = """
main { overflow-wrap: anywhere; } table { overflow-wrap: break-word; } dl + p { margin-top: 1.25rem; }
td.n b { font-weight: 650; font-size: 1.1rem; } td.n span, td.name span { display: block; color: var(--quiet);
  font-size: .82rem; } td.plot { width: 22%; padding-top: .95rem; min-width: 8rem; }
tr.group td { border-bottom-style: dotted; padding: .3rem .75rem .3rem 0; font-size: .88rem; }
tr.group td.name { padding-left: 1rem; } tr.group td.plot { padding-top: .55rem; }
.track .band { background: var(--band); top: -.15rem; bottom: -.15rem; border-radius: .15rem; }
table.beside { min-width: 62rem; } .beside td.name { min-width: 15rem; } .beside td.name span { line-height: 1.35; }
tr.ours td { font-weight: 650; background: var(--track); } tr.ours span { font-weight: 400; }
.drawn { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); gap: 1rem;
  margin: 1rem 0 0; padding: 0; list-style: none; }
.drawn li { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.drawn div { display: grid; grid-template-columns: 1fr 1fr; gap: 1px; background: var(--line); }
.drawn div.one { grid-template-columns: 1fr; }
.drawn img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #ffffff; }
.drawn p { margin: 0; padding: .4rem .7rem 0; font-size: .82rem; line-height: 1.35; }
.drawn p:last-child { padding-bottom: .65rem; }
"""

_MAIN = """
<h1>{{ results.title }}: {{ results.model }}</h1>
<p class="quiet">{{ results.about }}</p>
<dl>
{% for name, value in results.facts.items() %}
  <div><dt>{{ name.replace("_", " ") }}</dt><dd>{{ value|fact }}</dd></div>
{% endfor %}
</dl>
{% for note in results.notes %}
<p><b>{{ note }}</b></p>
{% endfor %}
{% if results.scores %}
<section>
<h2>Scores</h2>
<div class="scroll"><table>
<thead><tr><th>metric</th><th class="n">score</th><th class="n">95 % interval</th><th class="n">of</th><th></th></tr>
</thead>
<tbody>
{% for metric, scores in results.by_metric.items() %}
{% for score in scores %}
<tr{% if score.group %} class="group"{% endif %}>
<td class="name">{{ score.group or metric|metric }}
{% if not score.group %}<span>{{ explained[metric] ~ "; " if metric in explained }}by {{ score.scorer }}</span>
{% endif %}</td>
<td class="n">{% if score.group %}{{ "%.4f"|format(score.value) }}{% else %}<b>{{ "%.4f"|format(score.value) }}</b>
{% endif %}</td>
<td class="n">{{ "%.4f"|format(score.low) }} to {{ "%.4f"|format(score.high) }}</td>
<td class="n">{{ score.num }}</td>
<td class="plot"><div class="track" role="img" aria-label="bar of the value to the left">
<i class="bar" style="width:{{ score.value|place }}%"></i>
<i class="band" style="left:{{ score.low|place }}%;width:{{ score.high|place - score.low|place }}%"></i></div></td>
</tr>
{% endfor %}
{% endfor %}
</tbody>
</table></div>
<p class="key"><span><i class="bar"></i>score, from 0 to 1</span><span><i class="band"></i>95 % bootstrap interval over
prompts or images</span></p>
</section>
{% endif %}
{% if results.unscored %}
<section>
<h2>Not scored as the benchmark scores it</h2>
<div class="scroll"><table>
<thead><tr><th>score</th><th>needs what is not here</th></tr></thead>
<tbody>
{% for needs, metrics in results.unscored_by_need.items() %}
<tr><td>{{ metrics|join(", ") }}</td><td>{{ needs }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% endif %}
<section>
<h2>Beside published numbers</h2>
{% if results.compared %}
<p class="quiet">The same benchmark with the same scorer. Published numbers have no intervals.</p>
<div class="scroll"><table class="{{ "beside" if results.compared|length > 3 }}">
<thead><tr><th>model</th>{% for score in results.compared %}<th class="n">{{ score.metric|metric }}</th>{% endfor %}
</tr></thead>
<tbody>
<tr class="ours"><td class="name">{{ results.model }}<span>ours, with 95 % intervals</span></td>
{% for score in results.compared %}
<td class="n">{{ "%.4f"|format(score.value) }}
<span>{{ "%.3f"|format(score.low) }} to {{ "%.3f"|format(score.high) }}</span></td>
{% endfor %}</tr>
{% for row in results.beside %}
<tr><td class="name">{{ row.model }}<span>{{ row.source }} ({{ row.certainty }})</span></td>
{% for score in results.compared %}
<td class="n">{{ "%g"|format(row.values[score.metric]) }}</td>
{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% else %}
<p>None are shown: they are of the whole benchmark, scored by its own scorer.</p>
{% endif %}
</section>
{% if shown %}
<section>
<h2>{{ results.shown_title }}</h2>
<ul class="drawn">
{% for one in shown %}
<li><div{% if one.images_u8|length == 1 %} class="one"{% endif %}>
{% for image in one.images_u8 %}
<img src="{{ image|png }}" alt="{{ one.text }}">
{% endfor %}
</div>
<p>{{ one.text }}</p>
{% if one.detail %}<p class="quiet">{{ one.detail }}</p>{% endif %}</li>
{% endfor %}
</ul>
</section>
{% endif %}
"""

TEMPLATE = whole_page("Easel benchmark", _STYLE, _MAIN)
