"""The parts of the report's page about costs and worst cases: Jinja macros on those of `components.evaluation.page`."""

WORST = """
{% macro costs_of(costs) %}
<section>
<h2>What one image costs</h2>
<p class="quiet">Runs of the network for one image, and their arithmetic on average over the prompts that were drawn
(longer texts cost more). The text encoder and the decoder of images are not counted. Seconds depend on the machine, so
they stand with the run in MLflow.</p>
<div class="scroll"><table>
<thead><tr><th>model</th><th class="n">network evaluations</th><th class="n">billions of operations</th></tr></thead>
<tbody>
{% for cost in costs %}
<tr><td>{{ cost.model|label }}</td>
<td class="n">{{ cost.num_evaluations }}</td>
<td class="n">{{ cost.gflops|number }}</td></tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% endmacro %}
{% macro worst_of(found) %}
<section>
<h2>Worst cases of each category</h2>
<p class="quiet">The drawing whose image-text alignment is lowest in its category, with that alignment. Above it stands
the model's mean over the category's prompts, with a 95 % interval. A judge may be wrong about a single drawing: look.
</p>
<div class="scroll"><table class="worst">
<thead><tr><th>category</th>{% for model in found[0].models %}<th>{{ model|label }}</th>{% endfor %}</tr></thead>
<tbody>
{% for one in found %}
<tr><td>{{ one.category }}
<span>{{ one.num_prompts }} prompts</span></td>
{% for model, worst in one.models.items() %}
<td><span><b>{{ worst.mean|amount("similarity") }}</b>
({{ worst.low|amount("similarity") }} – {{ worst.high|amount("similarity") }})</span>
<img src="{{ worst.image_u8|png }}" alt="{{ model|label }}: {{ worst.prompt }}">
<span>{{ worst.score|amount("similarity") }}: {{ worst.prompt }}</span></td>
{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
</section>
{% endmacro %}
"""
