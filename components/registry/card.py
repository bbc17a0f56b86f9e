"""The model card: Hugging Face's README.md with YAML front matter, from values and never from free HTML.

Captions and creators' names are other people's text, so everything that is not ours is escaped before it is written.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from components.models.training_record import Drift, StatedSampling

# From the recipe's list of what the report does not say; only the rows that this chain already meets.
CHOICES_NOT_IN_THE_REPORT = (
    ("timestep density and shift in training", "logit-normal(0, 1); the shift grows with the resolution"),
    ("optimiser of pre-training", "AdamW with a clipped gradient norm, float32 weights"),
    ("average of the weights", "exponential moving average, evaluated and exported"),
    ("caption dropout", "a fixed share of the captions, replaced by the encoded empty prompt"),
    ("category model", "linear head on frozen image features"),
    ("captions", "from the words of Unicode's CLDR and of the clip art's authors, in templates of our own"),
    ("duplicates", "exact and near duplicates dropped, with explicit thresholds"),
    (
        "text encoder",
        "MiniLM (384 channels) in the place of Ministral-3-3B; token states are hidden_states[-2] as there",
    ),
    ("autoencoder", "a small AutoencoderKLFlux2 trained for this data in the place of FLUX.2's"),
)

LIMITATIONS = (
    "It draws small icons and clip art on white, and nothing else: no photographs, no text, no people.",
    "Its prompts are short descriptions of an emoji or a clip-art drawing with a style; longer ones are cut.",
    "Every score is a proxy: the judges are small classifiers and a small image-text model trained on the same "
    "training split, no person was asked. Read each value beside its chance level and the score of real images.",
    "The Lite0 Fréchet distance uses EfficientNet-Lite0 features and is not comparable with any published FID.",
    "diffusers logs once that it expected another text encoder class (Mistral3Model); the pipeline works regardless.",
)


@dataclass(frozen=True)
class Score:
    """One row of the card's table; `None` where a column has no meaning for the metric."""

    name: str
    value: float
    low: float | None
    high: float | None
    chance: float | None
    real: float | None


@dataclass(frozen=True)
class Win:
    """The share of prompts at which a judge preferred a model's image to that of the model `over`, with interval."""

    model: str
    over: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Pairs:
    """The preference pairs of the last training: who judged them, and in how many a person chose."""

    num_pairs: int
    num_human: int
    judges: Sequence[str]


@dataclass(frozen=True)
class Effect:
    """A score of the model's images for prompts as they are and as the enhancer puts them, with paired interval."""

    name: str
    without: float
    enhanced: float
    difference: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Enhancer:
    """The prompt enhancer that comes with a model: what was measured of it, what it does to scores, and an example.

    `figures` are of held-out wishes, by name; `wish` is what stock diffusers was asked, `revised` what it drew.
    """

    num_parameters: int
    figures: Mapping[str, float]
    effects: Sequence[Effect]
    wish: str
    revised: str


@dataclass(frozen=True)
class TrainingSource:
    """One source of the training data: how many images of it were used, and under which terms."""

    name: str
    num_images: int
    licence: str
    attribution: str


@dataclass(frozen=True)
class Card:
    """What a card says about one model; `images_seen` are those of its last phase, pairs of them where it had pairs.

    A distilled model has `few_steps`; `teachers` and `drift` say who taught it and what it kept of them.
    """

    title: str
    resolution_px: int
    num_parameters: int
    images_seen: int
    shift: float
    scores: Sequence[Score]
    wins: Sequence[Win]
    pairs: Pairs | None
    sources: Sequence[TrainingSource]
    prompts: Sequence[str]
    few_steps: StatedSampling | None = None
    teachers: Sequence[str] = ()
    drift: Sequence[Drift] = ()
    enhancer: Enhancer | None = None


def escaped(text: str) -> str:
    """`text` as it may stand in a cell of a Markdown table: one line, no HTML, no table or link syntax."""
    line = html.escape(" ".join(str(text).split()), quote=True)
    for mark in "\\|`*_[]":
        line = line.replace(mark, f"\\{mark}")
    return line


def number(value: float | None) -> str:
    """`value` with three significant digits and never in powers of ten, a dash for none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _front_matter(card: Card) -> str:
    metrics = [{"type": score.name, "name": score.name, "value": round(float(score.value), 4)} for score in card.scores]
    fields = {
        "license": "apache-2.0",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "language": ["en"],
        "tags": ["text-to-image", "diffusers", "flow-matching", "ernie-image", "easel"],
        "model-index": [
            {
                "name": card.title,
                "results": [
                    {
                        "task": {"type": "text-to-image"},
                        "dataset": {"name": "Easel embedded set, held-out concepts and cells", "type": "easel"},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _usage(card: Card) -> str:
    side = card.resolution_px
    prompt = repr(card.prompts[0] if card.prompts else "a red apple, flat Twemoji style")
    how = card.few_steps or StatedSampling(20, 4.0)
    as_written = "\n    use_pe=False,  # True, which diffusers takes if left out, has the enhancer rewrite the prompt"
    return f"""```python
from diffusers import ErnieImagePipeline

pipeline = ErnieImagePipeline.from_pretrained("path/to/this/directory")
image = pipeline(
    {prompt},
    height={side},
    width={side},
    num_inference_steps={how.num_steps},
    guidance_scale={how.guidance_scale},{as_written if card.enhancer else ""}
).images[0]
```"""


def _history(card: Card) -> str:
    """How the model came to be, up to what its last phase saw."""
    seen, px = f"{card.images_seen:,}", f"{card.resolution_px} px"
    chain = (
        "pre-trained from nothing by flow matching, fine-tuned on a curated selection (SFT), then on preference pairs"
    )
    if card.few_steps is None:
        what = "pairs of images" if card.pairs else "images"
        return f"{chain} (DPO). Its last phase saw {seen} {what} at {px}."
    taught = f" taught by {', '.join(map(escaped, card.teachers))}" if card.teachers else ""
    return (
        f"{chain} (DPO), and distilled to {card.few_steps.num_steps} steps by matching distributions{taught}. "
        f"The distillation saw {seen} prompts at {px}."
    )


def _few_steps(card: Card) -> str:
    """How a distilled model is drawn, and what it kept of its teachers; empty for any other."""
    how = card.few_steps
    if how is None:
        return ""
    guided = "without guidance" if how.guidance_scale <= 1 else f"at guidance {number(how.guidance_scale)}"
    parts = [
        f"It was trained to be drawn in exactly {how.num_steps} Euler steps {guided}, and for nothing else: more steps "
        "or other guidance make other pictures, not better ones. `sampling.json` holds these settings as arguments."
    ]
    if card.drift:
        rows = [
            (
                escaped(d.domain),
                escaped(d.measure.replace("_", " ")),
                number(d.student),
                number(d.teacher),
                number(d.ratio),
            )
            for d in card.drift
        ]
        parts.append("## Drift")
        parts.append(
            "What it draws beside what its teacher draws for the same prompts, by domain. *Kept* is the one over the "
            "other: 1 is as good, less is worse; of distances it is the inverse. The judges are small models."
        )
        parts.append(_table(("domain", "measure", "this model", "teacher", "kept"), rows))
    return "".join(f"{part}\n\n" for part in parts)


def _enhancer(card: Card) -> str:
    """What the language model in `pe/` does, how well, and to which effect; empty where there is none."""
    found = card.enhancer
    if found is None:
        return ""
    parts = [
        "## Prompt enhancer",
        f"`pe/` holds a language model of {found.num_parameters / 1e6:.2f} M parameters that turns a short wish into a "
        "description, `pe_tokenizer/` its tokenizer. Stock diffusers has it rewrite every prompt unless it is called "
        "with `use_pe=False`; the words are drawn from torch's global generator, so set `torch.manual_seed` to get "
        "the same again. **Diffusers checks nothing of what it writes.** `easel generate --enhance` does: language, "
        "length, quoted text, things, counts and colours of the wish must all be there, or the wish is drawn as it is.",
        f"Asked for *{escaped(found.wish)}*, stock diffusers drew: *{escaped(found.revised)}*",
    ]
    if found.figures:
        rows = [(escaped(name.replace("_", " ")), number(value)) for name, value in found.figures.items()]
        parts.append(_table(("on held-out wishes", "value"), rows))
    if found.effects:
        rows = [
            (
                escaped(effect.name),
                number(effect.without),
                number(effect.enhanced),
                f"{number(effect.difference)} ({_between(effect.low, effect.high)})",
                escaped(effect.verdict),
            )
            for effect in found.effects
        ]
        parts.append(
            "What it does to this model's pictures of held-out prompts, drawn from the same noise and judged by the "
            "prompt as it was, with the checks of `easel generate --enhance`:"
        )
        parts.append(_table(("metric", "without", "with", "difference, 95 % interval", "verdict"), rows))
    return "".join(f"{part}\n\n" for part in parts)


def render(card: Card) -> str:
    """The whole README.md."""
    scores = [(escaped(s.name), number(s.value), _interval(s), number(s.chance), number(s.real)) for s in card.scores]
    sources = [(escaped(s.name), str(s.num_images), escaped(s.licence), escaped(s.attribution)) for s in card.sources]
    choices = [(escaped(item), escaped(choice)) for item, choice in CHOICES_NOT_IN_THE_REPORT]
    limits = "\n".join(f"- {line}" for line in LIMITATIONS)
    return f"""---
{_front_matter(card)}---

# {escaped(card.title)}

A {card.num_parameters / 1e6:.2f} M-parameter diffusion transformer of the ERNIE-Image architecture (arXiv:2605.25347),
{_history(card)}
It shows that the whole way from images to a served model works. It is a demonstration of the pipeline, not of image
quality.

![samples](samples.png)

## Use

{_usage(card)}

Width and height are multiples of 16; the model was trained at {card.resolution_px} px. The scheduler's shift is
{number(card.shift)}.

{_few_steps(card)}{_enhancer(card)}## Scores

Held-out prompts only. *Chance* is what guessing would score, *real images* what the judge gives the real held-out ones.

{_table(("metric", "value", "95 % interval", "chance", "real images"), scores)}

{_preferences(card)}## Training data

{_table(("source", "images", "licence", "attribution"), sources)}

## Choices not in the report

{_table(("not disclosed", "here"), choices)}

## Limitations

{limits}

## Files

All weights are safetensors. `hashes.json` holds the SHA-256 of every other file; the digest of the model is the SHA-256
of its canonical JSON.
"""


def _preferences(card: Card) -> str:
    """The section about pairs and wins, empty where there are none."""
    parts: list[str] = []
    if card.pairs:
        judges = ", ".join(map(escaped, card.pairs.judges))
        chosen = f"in {card.pairs.num_human:,} of them a person chose" if card.pairs.num_human else "no person chose"
        parts.append(f"DPO had {card.pairs.num_pairs:,} pairs, judged by {judges}; {chosen}.")
    if card.wins:
        rows = [
            (f"{escaped(win.model)} over {escaped(win.over)}", number(win.share), _between(win.low, win.high))
            for win in card.wins
        ]
        parts.append(
            "How often judges, which are models too, prefer a model to the one before, for the same prompt and noise:"
        )
        parts.append(_table(("preferred", "share", "95 % interval"), rows))
    return "".join(f"{part}\n\n" for part in ["## Preferences", *parts]) if parts else ""


def _between(low: float, high: float) -> str:
    return f"{number(low)} – {number(high)}"


def _interval(score: Score) -> str:
    return "–" if score.low is None or score.high is None else _between(score.low, score.high)
