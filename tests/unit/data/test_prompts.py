from collections import Counter

from components.data.prompts import Prompt, choose_prompts


def make(style: str, category: str, number: int) -> Prompt:
    text = f"{category} {number}, {style} style"
    return Prompt(f"id-{style}-{category}-{number}", "heldout_cell", style, category, f"c{number}", text, number)


CANDIDATES = [
    *(make("blob", "food", n) for n in range(50)),
    *(make("blob", "animals", n) for n in range(5)),
    *(make("Noto", "food", n) for n in range(20)),
]


def test_groups_take_turns_so_that_none_dominates() -> None:
    chosen = choose_prompts(CANDIDATES, 12, seed=1)
    assert Counter((p.style, p.category) for p in chosen) == {
        ("blob", "food"): 4,
        ("blob", "animals"): 4,
        ("Noto", "food"): 4,
    }


def test_small_groups_are_used_up_and_the_rest_fills_in() -> None:
    chosen = choose_prompts(CANDIDATES, 45, seed=1)
    assert Counter(p.category for p in chosen)["animals"] == 5
    assert len(chosen) == len(set(chosen)) == 45
    assert len(choose_prompts(CANDIDATES, 1000, seed=1)) == len(CANDIDATES)


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    assert choose_prompts(CANDIDATES, 10, seed=2) == choose_prompts(CANDIDATES[::-1], 10, seed=2)
    assert choose_prompts(CANDIDATES, 10, seed=2) != choose_prompts(CANDIDATES, 10, seed=3)


def test_each_text_is_asked_once() -> None:
    twins = [CANDIDATES[0], Prompt("zz", "heldout_cell", "blob", "food", "c0", CANDIDATES[0].text, 0)]
    assert len(choose_prompts(twins, 10, seed=0)) == 1
    assert choose_prompts([], 10, seed=0) == []
