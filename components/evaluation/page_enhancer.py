"""The part of the report's page about the prompt enhancer: a Jinja macro on those of `components.evaluation.page`."""

ENHANCER = """
{% macro enhancer_of(grid) %}
<section>
<h2>With the prompt enhancer</h2>
<p class="quiet">The same models drew {{ grid.rewritten|length }} of these prompts once more from the same noise, after
a small language model had turned each into a description. Its answer is checked for the prompt's language and every
quoted text, thing, number, colour and negation in it: {{ (100 * grid.fallback_frac)|number }} % of the answers were
refused, and these prompts drawn as they are. What was drawn is {{ grid.length_ratio|number }} times as long as the
prompts. Every judge is told the prompt, not what was made of it.</p>
{% if grid.win_rates %}
<ul class="finds four">
{% for rate in grid.win_rates %}
{{ won_of(rate) }}
{% endfor %}
</ul>
{% endif %}
<div class="scroll"><table class="scores grid">
<thead><tr><th>metric</th>{% for _, model in grid.models|pairs %}<th class="n">{{ model|label }}</th>{% endfor %}</tr>
</thead>
<tbody>
{% for rows in grid.rows|by_metric %}
<tr>
<td class="name">{{ rows[0].name }}<span>{{ rows[0].explanation }}</span></td>
{% for without, row in rows|pairs %}
{{ score_of(row, without) }}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
<p class="quiet">Both kinds of held-out prompts together, then those that ask for words. Below each score stands that of
the same model without the enhancer, and the difference between the two with a paired 95 % interval.</p>
{% if grid.examples %}
<ul class="examples">
{% for example, rewritten in grid.shown %}
<li>
{% for models in (grid.models[::2], grid.models[1::2]) %}
<div class="row">
{% for model in models %}
<figure><img src="{{ example.generated_u8[model]|png }}" alt="{{ model|label }}: {{ example.prompt }}">
<figcaption>{{ model|label }}</figcaption></figure>
{% endfor %}
</div>
{% endfor %}
<p><b>{{ example.prompt }}</b></p>
<p>{{ rewritten.text if rewritten.was_enhanced else "drawn as it is: " ~ rewritten.reason }}</p></li>
{% endfor %}
</ul>
{% endif %}
</section>
{% endmacro %}
"""
