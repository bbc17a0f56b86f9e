"""Exchanged names: the same in wish and description, others than before, and only names."""

import pytest

from components.enhancer.examples import Pair
from components.enhancer.renaming import renamed

NAMES = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrt"]
PAIRS = [Pair(f"red {name}, 64", 64, 64, f"A picture of a red {name}. It is a {name}.") for name in NAMES]


def test_a_name_is_another_in_both_and_common_words_stay():
    changed = 0
    for before, after in zip(PAIRS, renamed(PAIRS, 1.0, seed=0), strict=True):
        name = after.wish.removeprefix("red ").removesuffix(", 64")
        assert name in NAMES
        assert after.description == f"A picture of a red {name}. It is a {name}."
        changed += after != before
    assert changed > 0.9 * len(PAIRS)


@pytest.mark.parametrize("frac", [0.0, 0.3, 1.0])
def test_the_share_and_the_seed_decide(frac):
    one = renamed(PAIRS, frac, seed=1)
    assert one == renamed(PAIRS, frac, seed=1)
    if frac > 0:
        assert one != renamed(PAIRS, frac, seed=2)
    share = sum(after != before for before, after in zip(PAIRS, one, strict=True)) / len(PAIRS)
    assert share == pytest.approx(frac, abs=0.1)


def test_chinese_characters_are_exchanged_for_such():
    pairs = [
        Pair(f"{name}，红色", 1, 1, f"一幅{name}图画，红色。")
        for name in "狐狸猫狗鱼鸟马牛羊猪鸡鸭鹅兔鼠虎龙蛇猴象" * 1
    ]
    pairs += [Pair(f"红色物{number}", 1, 1, "红色物") for number in range(100)]
    for pair in renamed(pairs, 1.0, seed=0)[:20]:
        name = pair.wish[0]
        assert pair.description == f"一幅{name}图画，红色。"
