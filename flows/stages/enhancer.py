"""Stage `enhancer`: a language model that tells a short wish at length, in the language it was wished in."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.models.config import DirectoryWeights
from components.models.language_config import LanguageShape
from components.training.language_config import LanguageTraining


class Params(BaseModel, frozen=True, extra="forbid"):
    """The network, new (`model`) or from a folder with its tokenizer (`init`), and how it is trained and asked.

    Names are exchanged in `renamed_frac` of the pairs. `num_held_out` wishes are asked; answers have at most
    `max_new_tokens`.
    """

    model: LanguageShape | None
    init: DirectoryWeights | None
    starts_copying: bool
    renamed_frac: float = Field(ge=0, le=1)
    training: LanguageTraining
    max_new_tokens: int = Field(gt=0)
    num_held_out: int = Field(gt=0)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)


@dataclass(frozen=True)
class Metrics:
    """On held-out wishes, by the averaged weights; shares and lengths as of `Answered`, perplexities of a token."""

    examples_seen: int
    final_loss: float
    perplexity_before: float
    perplexity_after: float
    perplexity_ngram: float
    intent_kept: float
    intent_kept_unguarded: float
    right_language: float
    length_ratio: float
    fallback_share: float


def enhancer(p: Params, *, pairs: Path, model: Path) -> Metrics:
    """Train a language model to describe pictures that were wished for, and measure it behind its guards."""
    from components.enhancer.decoding import Writer
    from components.enhancer.measuring import answer, measured
    from components.tracking import current_run
    from components.training.checkpoint_store import current_checkpoints
    from components.training.fit import Surroundings
    from components.training.language_training import learn
    from flows import enhancers
    from flows.reports import last_words
    from flows.settings import current_profile, current_rank, incidents_dir

    execution = current_profile().execution
    execution.accumulate(p.training.batch_size)
    data = enhancers.read(pairs, p)
    network = enhancers.start(p, data.tokenizer)
    run, training = current_run(), p.training
    learned = learn(
        network,
        data.source,
        data.held_out,
        training,
        execution,
        Surroundings(run, incidents_dir(), current_checkpoints(), last_words),
    )
    trained = enhancers.finished(network, learned.averaged, training.lora)
    told, first = answer(data.asked, Writer(trained, data.tokenizer, p.temperature, p.top_p).write_many, training.seed)
    metrics = Metrics(
        examples_seen=data.examples_until(learned.rows_seen),
        final_loss=learned.final_loss,
        perplexity_before=learned.perplexity_before,
        perplexity_after=learned.perplexity_after,
        perplexity_ngram=data.ngram_perplexity(),
        **asdict(measured(data.asked, told, first)),
    )
    if current_rank() == 0:
        enhancers.save(model, trained, data.tokenizer, p, learned.consumed, asdict(metrics))
        run.log_metrics({"rows_per_s": learned.rows_per_s}, step=learned.rows_seen)
    return metrics
