import pytest

from components.preference.shares import share_of

IMAGES = [f"i{number:03d}" for number in range(101)]
PEOPLE = ["p7", "p8", "p9"]


def test_all_share_a_few_images_and_split_the_others_evenly() -> None:
    shares = {who: set(share_of(IMAGES, PEOPLE, who, 0.05, 3)) for who in PEOPLE}
    shared = set.intersection(*shares.values())
    assert len(shared) == 5
    own = [share - shared for share in shares.values()]
    assert set.union(shared, *own) == set(IMAGES)
    assert sum(map(len, own)) + len(shared) == len(IMAGES)  # nobody has another one's
    assert sorted(map(len, own)) == [32, 32, 32]
    assert share_of(IMAGES, PEOPLE, "p8", 0.05, 3) == sorted(shares["p8"])
    assert share_of(IMAGES, PEOPLE, "p8", 0.05, 4) != sorted(shares["p8"])


def test_at_least_two_are_shared_and_one_alone_gets_all() -> None:
    assert len(set(share_of(IMAGES, PEOPLE, "p7", 0.0, 0)) & set(share_of(IMAGES, PEOPLE, "p9", 0.0, 0))) == 2
    assert share_of(IMAGES, ["p7"], "p7", 0.05, 0) == IMAGES


@pytest.mark.parametrize(
    ("people", "frac", "told"),
    [(["p7", "p7"], 0.1, "allowed: different ones"), (["p8"], 0.1, "p7 among them"), (["p7"], 1.1, "allowed: 0 to 1")],
)
def test_shares_that_cannot_be_are_refused(people: list[str], frac: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        share_of(IMAGES, people, "p7", frac, 0)
