"""Which prompts stand for a domain: held-out ones first, each image once before one is asked for twice."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_training import tiny_store

from components.data.buckets import Bucket
from flows.drift_prompts import GENERAL, domain_parts, domain_prompts

SQUARE, WIDE = Bucket(32, 32), Bucket(16, 64)
DOMAINS = {f"sample{row}": "poster" if row % 2 else "nature" for row in range(12)}


def curated(**splits):
    """Rows 0 to 7 are trained on, 8 to 11 held out of their domain; without short captions."""
    store = tiny_store()
    names = ["train"] * 8 + [f"heldout_{DOMAINS[f'sample{row}']}" for row in range(8, 12)]
    rows = store.rows.set_column(store.rows.schema.get_field_index("split"), "split", [names])
    request = {"request": store.captions["short"], "tags": store.captions["tags"]}
    return {SQUARE: replace(store, rows=rows, captions=request)}


def in_two(buckets):
    """The same rows in two buckets."""
    (store,) = buckets.values()
    parts = np.arange(0, 12, 2), np.arange(1, 12, 2)
    return {
        bucket: replace(
            store,
            latents=store.latents[rows],
            rows=store.rows.take(rows),
            captions={kind: texts[rows] for kind, texts in store.captions.items()},
        )
        for bucket, rows in zip((SQUARE, WIDE), parts, strict=True)
    }


def prompts_of(domain, at_most, buckets=None, seed=0):
    parts = domain_parts(buckets or curated(), DOMAINS, {SQUARE: tiny_store()})
    return domain_prompts(domain, parts[domain], at_most, seed)


def rows_of(prompts):
    return [int(one.prompt.sample_id.removeprefix("sample")) for one in prompts]


@pytest.mark.parametrize("shape", [lambda: curated(), lambda: in_two(curated())])
def test_held_out_images_are_asked_for_first_then_those_trained_on(shape):
    rows = rows_of(prompts_of("poster", 6, shape()))
    assert sorted(rows[:2]) == [9, 11]
    assert sorted(rows[2:]) == [1, 3, 5, 7]
    assert rows_of(prompts_of("poster", 1, shape())) == rows[:1]


def test_no_image_is_asked_for_twice_before_all_were_once_and_no_text_at_all():
    found = prompts_of("nature", 100)
    rows = rows_of(found)
    assert sorted(rows[:6]) == [0, 2, 4, 6, 8, 10]
    assert sorted(rows) == sorted(2 * [0, 2, 4, 6, 8, 10])
    assert len({one.prompt.text for one in found}) == len(found)


def test_an_image_without_a_kind_of_caption_is_asked_for_in_the_others():
    rows = rows_of(prompts_of("poster", 100))
    assert (rows.count(3), rows.count(5)) == (1, 2)  # row 3 has no tags


def test_kinds_of_captions_take_turns():
    numbers = [one.prompt.text_number for one in prompts_of("nature", 6)]
    assert any(number <= 12 for number in numbers)
    assert any(number > 12 for number in numbers)


def test_the_general_domain_are_the_held_out_images_of_pre_training_in_short_captions():
    found = prompts_of(GENERAL, 100)
    assert sorted(rows_of(found)) == [8, 9, 10, 11]
    assert all(one.prompt.text_number <= 12 for one in found)


def test_texts_are_those_of_the_store_they_come_with():
    for domain in ("poster", GENERAL):
        for one in prompts_of(domain, 4):
            assert one.store.prompts[one.prompt.text_number] == one.prompt.text
            assert one.domain == domain


def test_prompts_depend_on_the_seed_only():
    assert rows_of(prompts_of("nature", 4)) == rows_of(prompts_of("nature", 4))
    assert rows_of(prompts_of("nature", 4, seed=3)) != rows_of(prompts_of("nature", 4))


@pytest.mark.parametrize(
    ("domains", "general", "message"),
    [
        (
            {**DOMAINS, "gone": "product"},
            tiny_store,
            "domain 'product' has no prompt to .*report of gaps",
        ),
        (DOMAINS, lambda: curated()[SQUARE], None),
        (DOMAINS, lambda: only_trained(tiny_store()), "domain 'general' has no prompt .*hold some out in sample"),
        ({**DOMAINS, "x": "all"}, tiny_store, "names a domain 'all', which stands for others here"),
        ({**DOMAINS, "x": GENERAL}, tiny_store, "names a domain 'general', which stands for others here"),
    ],
)
def test_a_domain_without_prompts_is_refused(domains, general, message):
    if message is None:
        assert domain_parts(curated(), domains, {SQUARE: general()})[GENERAL]
        return
    with pytest.raises(ValueError, match=message):
        domain_parts(curated(), domains, {SQUARE: general()})


def only_trained(store):
    rows = np.arange(8)
    return replace(store, rows=store.rows.take(rows), captions={k: v[rows] for k, v in store.captions.items()})


def test_images_without_captions_are_no_prompts():
    store = curated()[SQUARE]
    mute = {SQUARE: replace(store, captions={"request": np.full(12, -1)})}
    with pytest.raises(ValueError, match="domain 'nature' has no prompt to measure it by: its images have no captions"):
        prompts_of("nature", 4, mute)
