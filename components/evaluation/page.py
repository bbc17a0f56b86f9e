"""The report's page, as a Jinja template: one file, no script, nothing loaded, light and dark.

It is a string and not a file of its own, so that what the evaluate stage depends on is seen by the import graph.
"""

from components.data.report.look import whole_page

_STYLE = """
table { min-width: 46rem; }
td.n.value { font-weight: 650; font-size: 1.1rem; line-height: 1.4; }
td.name { width: 36%; } td.name span { display: block; color: var(--quiet); font-size: .82rem; line-height: 1.4; }
td.plot { width: 26%; padding-left: 1rem; padding-right: 0; padding-top: 1rem; }
.track .band { background: var(--band); top: -.25rem; bottom: -.25rem; border-radius: .15rem; }
.track .chance, .track .real { width: 2px; margin-left: -1px; top: -.3rem; bottom: -.3rem; }
.track .chance { background: var(--chance); } .track .real { background: var(--real); }
.key .chance, .key .real { width: 2px; height: 1rem; }
.key .chance { background: var(--chance); } .key .real { background: var(--real); }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; margin: 1.5rem 0 0;
  padding: 0; list-style: none; }
.examples li { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
.pair { display: grid; grid-template-columns: 1fr 1fr; background: #ffffff; }
.pair img { width: 100%; aspect-ratio: 1; display: block; }
.pair img + img { border-left: 1px solid #e4e1dc; }
.examples p { margin: 0; padding: .55rem .7rem .65rem; font-size: .82rem; line-height: 1.35; overflow-wrap: anywhere; }
"""

_MAIN = """
<h1>What the model draws when it is asked for something new</h1>
<p class="quiet">All prompts were held out of training. Each score stands beside what guessing would reach and what the
real held-out images reach in the eyes of the same judge. The judges are small and were trained on this project's own
training images: every score is a proxy.</p>
<dl>
{% for name, value in facts.items() %}
  <div><dt>{{ name }}</dt><dd>{{ value|fact }}</dd></div>
{% endfor %}
</dl>
{% for section in sections %}
<section>
<h2>{{ section.title }}</h2>
<p class="quiet">{{ section.question }} {{ section.num_prompts }} prompts, one image each.</p>
<div class="scroll"><table>
<thead><tr><th>metric</th><th class="n">value</th><th class="n">95 % interval</th><th class="n">chance</th>
<th class="n">real images</th><th></th></tr></thead>
<tbody>
{% for row in section.rows %}
<tr>
<td class="name">{{ row.name }}<span>{{ row.explanation }}</span></td>
{% if row.unit == "share" %}
<td class="n value">{{ row.value|percent }} %</td>
<td class="n">{{ row.low|percent }} – {{ row.high|percent }}</td>
<td class="n">{{ row.chance|percent }}</td>
<td class="n">{{ row.real|percent }}</td>
{% set scale = 1.0 %}
{% else %}
<td class="n value">{{ row.value|number }}</td>
<td class="n">{{ row.low|number }} – {{ row.high|number }}</td>
<td class="n">{{ row.chance|number }}</td>
<td class="n">{{ row.real|number }}</td>
{% set scale = [row.chance, row.high, row.real, 1e-12]|max * 1.05 %}
{% endif %}
<td class="plot"><div class="track" role="img" aria-label="bar of the values to the left">
<i class="bar" style="width:{{ (row.value / scale)|percent }}%"></i>
<i class="band" style="left:{{ (row.low / scale)|percent }}%;width:{{ ((row.high - row.low) / scale)|percent }}%"></i>
<i class="chance" style="left:{{ (row.chance / scale)|percent }}%"></i>
<i class="real" style="left:{{ (row.real / scale)|percent }}%"></i>
</div></td>
</tr>
{% endfor %}
</tbody>
</table></div>
<p class="key"><span><i class="bar"></i>value</span><span><i class="band"></i>95 % interval</span>
<span><i class="chance"></i>chance</span><span><i class="real"></i>real images</span></p>
{% if section.examples %}
<ul class="examples">
{% for example in section.examples %}
<li><div class="pair"><img src="{{ example.generated_u8|png }}" alt="generated: {{ example.prompt }}">
<img src="{{ example.real_u8|png }}" alt="real: {{ example.prompt }}"></div>
<p>{{ example.prompt }}</p></li>
{% endfor %}
</ul>
<p class="key">Left the generated image, right the real one that the prompt describes.</p>
{% endif %}
</section>
{% endfor %}
<footer class="quiet">
<p>The Lite0 Fréchet distance is measured on EfficientNet-Lite0 features and cannot be compared with any FID; less is
better, and its chance level is what decoded noise scores. Retrieval uses a two-tower model of this project; its score
on real images says how far it can be trusted. Shares have Wilson intervals, distances bootstrap intervals.</p>
{% if credits %}
<p>Real images: {{ credits|join("; ") }}.</p>
{% endif %}
</footer>
"""

TEMPLATE = whole_page("Easel report", _STYLE, _MAIN)
