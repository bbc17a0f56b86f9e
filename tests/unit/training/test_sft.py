"""Fine-tuning's own parts: which domains are trained on, what is measured, what changed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from components.data.buckets import Bucket
from components.data.latents import LatentStore, pack_texts
from components.training.batches import BatchSource
from components.training.config import BatchConfig, HeldOutConfig, PriorConfig
from components.training.sft import OTHER_DOMAINS, changes, check_texts, only_domains, sft_problems, sft_source

SQUARE = Bucket(32, 32)
BATCH = BatchConfig(6, {"short": 1.0, "tags": 1.0}, 0.1)
PRIOR = PriorConfig(0.25, {"tags": 1.0})
SPLITS = ["train"] * 8 + ["heldout_poster", "heldout_poster", "heldout_nature", "heldout_label"]
DOMAIN_OF = {f"sample{row}": domain for row, domain in enumerate(["poster"] * 3 + ["nature"] * 5 + ["poster"] * 2)} | {
    "sample10": "nature",
    "sample11": "label",
}


@pytest.fixture
def curated(store: LatentStore) -> dict[Bucket, LatentStore]:
    """Rows 0 to 2 posters, 3 to 7 of nature; of labels only one that is held out."""
    place = store.rows.schema.get_field_index("split")
    rows = store.rows.set_column(place, store.rows.schema.field(place), [SPLITS])
    return {SQUARE: replace(store, rows=rows)}


@pytest.mark.parametrize(("domains", "rows"), [(["poster"], {0, 1, 2}), (["nature", "poster"], set(range(8)))])
def test_an_expert_draws_its_domain_only_and_others_are_measured(curated, domains, rows):
    before, after = curated[SQUARE], only_domains(curated, DOMAIN_OF, domains)[SQUARE]
    kept = np.isin(np.arange(12), list(rows))
    np.testing.assert_array_equal(after.probabilities, np.where(kept, before.probabilities, 0))
    drawn = BatchSource({SQUARE: after}, replace(BATCH, batch_size=600), seed=0).at(0, 600).rows
    assert set(drawn.tolist()) == rows
    assert after.rows["split"].to_pylist()[8:] == SPLITS[8:]
    assert set(after.rows_of(OTHER_DOMAINS).tolist()) == set(range(8)) - rows
    assert (after.manifest_hash != before.manifest_hash) == (len(rows) < 8)


@pytest.mark.parametrize("name", ["portrait", "label"])
def test_a_domain_without_an_image_to_train_on_is_named_with_those_that_have_some(curated, name):
    with pytest.raises(ValueError, match=rf"'{name}', of which no image is trained on \(there: nature, poster\)"):
        only_domains(curated, DOMAIN_OF, ["poster", name])


def test_domains_without_any_image_held_out_are_refused_before_training(curated):
    store = curated[SQUARE]
    rows = store.rows.set_column(
        store.rows.schema.get_field_index("split"), "split", [["train"] * 10 + ["heldout_nature", "train"]]
    )
    alone = {SQUARE: replace(store, rows=rows)}
    only_domains(alone, DOMAIN_OF, ["poster", "nature"])
    with pytest.raises(ValueError, match=r"no image of domains poster is held out.*encode_sft.heldout_frac"):
        only_domains(alone, DOMAIN_OF, ["poster"])


def test_the_prior_has_its_own_captions_and_share(curated, store):
    batches = list(sft_source(curated, {SQUARE: store}, BATCH, PRIOR, seed=0).slices(0, 64))
    kinds = [{"tags" if text > 12 else "short" for text in batch.texts.tolist() if text} for batch in batches]
    assert sum(found == {"short", "tags"} for found in kinds) > 32  # row 3 has no tags, but all others do
    alone = list(sft_source(curated, {SQUARE: store}, BATCH, replace(PRIOR, frac=0.0), seed=0).slices(0, 64))
    assert not any({text for text in batch.texts.tolist() if text} <= set(range(13, 25)) for batch in alone)


def test_every_domain_and_the_earlier_images_are_measured_under_names_of_their_own(curated, store):
    problems = sft_problems(curated, {SQUARE: store}, HeldOutConfig(1, 100, 0), BATCH, PRIOR)
    counts = {problem.name: len(problem.t) for problem in problems}
    domains = {"heldout_poster": 4, "heldout_nature": 2, "heldout_label": 2, "train": 15}
    assert counts == domains | {"prior/train": 7, "prior/heldout_cell": 2, "prior/heldout_concept": 2}


def test_a_style_of_prompt_that_was_not_encoded_is_named(curated, store):
    batch = replace(BATCH, caption_weights={"riddle": 1.0})
    with pytest.raises(ValueError, match=r"caption_weights names \['riddle'\], but .* \['short', 'tags'\]"):
        sft_source(curated, {SQUARE: store}, batch, PRIOR, seed=0)


@pytest.mark.parametrize("frac", [-0.1, 1.0, 1.5, math.nan])
def test_a_prior_that_is_no_share_is_refused(frac):
    with pytest.raises(ValueError, match=r"prior\.frac is a share of the steps, in \[0, 1\)"):
        PriorConfig(frac, {"short": 1.0})


def test_token_states_of_two_encoders_are_refused(curated, store):
    check_texts(curated[SQUARE], store)
    other = replace(store, texts=pack_texts([np.zeros((2, 7), np.float16)]))
    with pytest.raises(ValueError, match="token states of 10 numbers and encode of 7"):
        check_texts(curated[SQUARE], other)


def test_changes_are_means_over_domains_and_over_earlier_splits():
    before = {"heldout_a": 1.0, "heldout_a/food": 9.0, "heldout_b": 2.0, "train": 9.0}
    before |= {
        "prior/heldout_cell": 1.0,
        "prior/heldout_cell/food": 9.0,
        "prior/heldout_concept": 3.0,
        "prior/train": 9,
    }
    after = before | {"heldout_a": 0.5, "heldout_b": 1.8, "prior/heldout_cell": 1.2}
    found = changes(before, after, ["a", "b", "c"])
    assert (found.domain_before, found.domain_after) == (1.5, pytest.approx(1.15))
    assert found.worst_ratio == pytest.approx(0.9)
    assert (found.prior_before, found.prior_after) == (2.0, pytest.approx(2.1))
    assert changes(before, after, ["a"]).worst_ratio == 0.5
    assert math.isnan(changes({}, {}, ["a"]).worst_ratio)
    assert math.isnan(changes({}, {}, ["a"]).prior_after)
