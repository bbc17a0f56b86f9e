"""The voting page: its server as a stranger meets it, and a whole small tournament in a real browser."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.preference.aes_labels import read_labels
from components.preference.config import PairRules
from components.preference.ratings import ratings_of
from components.preference.standings import EQUAL_SHARES
from components.preference.swiss import num_comparisons
from components.preference.votes import pairs_from_votes, read_votes
from components.preference.votes_log import read_log
from components.preference.voting_server import VotingServer
from flows import settings
from flows.annotate import compared, open_session, outcome, read_categories, write_votes
from tests.integration.browser import CHROMIUM, Page, opened

NUM_IMAGES, NUM_PAIRS = 6, 3
PROMPT = "<b>a fox</b>"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of rough pictures, in a workspace whose state lies beside it."""
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "foxes"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        rough = Image.fromarray(draw.integers(0, 256, (6, 6, 3)).astype(np.uint8))
        rough.resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def server(images: Path, request: pytest.FixtureRequest) -> Iterator[VotingServer]:
    host = getattr(request, "param", "127.0.0.1")
    session, pictures, _ = open_session(images, "p7", name="", prompt=PROMPT, num_calibration=0, seed=0)
    with VotingServer(host, 0, session, pictures) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
    session.close()


def test_the_page_and_its_images_are_served_and_nothing_else(server: VotingServer, images: Path) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as web:
        page = web.get("/")
        nonce = re.search(r"script-src 'nonce-([^']+)'", page.headers["content-security-policy"])
        assert nonce
        assert f'<script nonce="{nonce[1]}">' in page.text
        state = web.get("/state").json()
        picture = web.get(f"/image/{state['left']}")
        assert hashlib.sha256(picture.content).hexdigest() == state["left"]
        assert (picture.headers["content-type"], picture.headers["x-content-type-options"]) == ("image/png", "nosniff")
        for path in ("/image/../votes.jsonl", f"/image/{images / '0.png'}", "/votes.jsonl", "/image/"):
            assert web.get(path).status_code == 404


def test_other_sites_and_odd_requests_cannot_vote(server: VotingServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as web:
        vote = {"vote_id": web.get("/state").json()["vote_id"], "choice": "a"}
        refused = [
            web.post("/vote", json=vote, headers={"Origin": "http://evil.example"}),
            web.post("/vote", content=json.dumps(vote), headers={"Content-Type": "text/plain"}),
            web.post("/vote", json=vote, headers={"Host": "evil.example"}),
            web.post("/vote", json=[vote]),
            web.post("/vote", json=vote | {"choice": "left"}),
            web.post("/vote", json=vote | {"choice": ["a"]}),
            web.post("/vote", json=vote | {"more": "x" * 20_000}),
            web.post("/vote", content="[" * 9_000, headers={"Content-Type": "application/json"}),
            web.get("/state", headers={"Host": "evil.example"}),
        ]
        assert {answer.status_code for answer in refused} == {400, 403}
        assert web.get("/state").json()["num_done"] == 0


def test_two_browsers_that_answer_the_same_question_are_counted_once(server: VotingServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as web:
        state = web.get("/state").json()
        told = [web.post("/vote", json={"vote_id": state["vote_id"], "choice": c}).json() for c in ("a", "b")]
        assert told[0] == told[1]
        assert told[0]["num_done"] == 1


@pytest.mark.parametrize("server", ["0.0.0.0"], indirect=True)
def test_bound_elsewhere_a_token_is_asked_for_everywhere(server: VotingServer) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", trust_env=False) as web:
        for path in ("/", "/state", "/image/x", "/?token=", "/state?token=wrong", "/?token=%F0%9F%A6%8A"):
            assert web.get(path).status_code == 403
        assert web.post("/undo", json={}).status_code == 403
        assert len(server.token) >= 32
        assert web.get(f"/state?token={server.token}").status_code == 200


def play_alone(images: Path, annotator: str, taste: Callable[[str], float], **told: Any) -> list[str]:
    """A whole tournament without its page, whose test is passed; the images that she saw."""
    given = {"name": "", "prompt": "a red fox", "num_calibration": NUM_PAIRS, "seed": 0} | told
    session, _, _ = open_session(images, annotator, **given)
    better = {pair.better for pair in session._tournament.known}
    while (state := session.state()).vote_id:
        is_left = state.left in better if state.phase == "calibration" else taste(state.left) > taste(state.right)
        assert session.vote(state.vote_id, "a" if is_left else "b")
    session.close()
    return list(session._tournament.plan.images)


def log_of(annotator: str) -> Path:
    return settings.home(ROOT) / "tournaments" / "foxes" / annotator / "votes.jsonl"


def test_who_always_clicks_left_is_told_that_her_votes_do_not_count(images: Path) -> None:
    for calibration, why in ((NUM_PAIRS, "right in 50% of the votes"), (0, "was not tested before she voted")):
        session, _, _ = open_session(
            images, f"p{calibration}", name="", prompt=PROMPT, num_calibration=calibration, seed=0
        )
        while (state := session.state()).vote_id:
            session.vote(state.vote_id, "a")
        found = outcome(session)
        session.close()
        assert found["does_not_count"][0].startswith(why)
        assert bool(found["ranking"]) == (not calibration)


def test_two_annotators_of_one_tournament_are_compared(images: Path, tmp_path: Path) -> None:
    file, names = tmp_path / "categories.csv", list[str]()
    for annotator in ("p7", "p8"):
        names = play_alone(images, annotator, lambda name: int(name, 16))
        if annotator == "p7":
            with pytest.raises(ValueError, match="the votes of 1 annotators count; allowed: 2 or more"):
                compared("foxes", {})
    file.write_text("image,category\n" + "".join(f"{name},c{place % 2}\n" for place, name in enumerate(names)))
    found = compared("foxes", read_categories(file))
    assert (found["annotators"], found["num_images"], found["num_shared"]) == (["p7", "p8"], NUM_IMAGES, NUM_IMAGES)
    assert found["kendalls_w"] == found["krippendorffs_alpha"] == pytest.approx(1.0)
    assert {bias["bias"] for bias in found["biases"]} == {0.0}
    file.write_text("name\nx\n")
    with pytest.raises(ValueError, match="needed: image, category"):
        read_categories(file)


def test_annotators_who_share_the_work_see_a_few_images_of_each_other(images: Path) -> None:
    people = ("p7", "p8")
    shown = {who: play_alone(images, who, lambda name: int(name, 16), among=people) for who in people}
    assert len(set(shown["p7"]) & set(shown["p8"])) == 2
    assert len(set(shown["p7"]) | set(shown["p8"])) == NUM_IMAGES
    found = compared("foxes", {})
    assert (found["num_images"], found["num_shared"], found["kendalls_w"]) == (NUM_IMAGES, 2, pytest.approx(1.0))
    with pytest.raises(ValueError, match="p9 among them"):
        play_alone(images, "p9", len, among=people)


def test_votes_that_count_become_pairs_and_tiers_and_others_are_left_out(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "votes.jsonl"
    with pytest.raises(ValueError, match="nobody has voted; `easel annotate IMAGES --name foxes"):
        write_votes("foxes", output)
    play_alone(images, "untested", lambda name: -int(name, 16), num_calibration=0)
    with pytest.raises(ValueError, match=r"nobody's votes count \(untested was not tested"):
        write_votes("foxes", output)
    for who in ("p7", "p8"):
        names = play_alone(images, who, lambda name: int(name, 16))
    with pytest.raises(ValueError, match="no such folder"):
        write_votes("foxes", tmp_path / "none" / "votes.jsonl")
    told = write_votes("foxes", output)
    assert told["left_out"] == {"untested": ["was not tested before she voted"]}
    assert told["votes"] == sum(not vote.is_repeat for who in ("p7", "p8") for vote in read_log(log_of(who)))

    rules = PairRules(0.0, None, 1, "moderate_first", 0.5, 0)
    pairs = pairs_from_votes(read_votes(output), {}, rules).table.to_pylist()
    assert len(pairs) == told["votes"] / 2
    assert all(int(row["winner"], 16) > int(row["loser"], 16) for row in pairs)
    assert {(row["prompt"], row["margin"], row["is_human"]) for row in pairs} == {("a red fox", 1.0, True)}
    logged = read_log(output)
    logs = {who: [vote for vote in logged if vote.annotator == who] for who in ("p7", "p8")}
    found = ratings_of(logs, 0.1, EQUAL_SHARES)
    assert (found.images, found.tiers[0].argmax()) == (sorted(names), NUM_IMAGES - 1)

    write_votes("foxes", tmp_path / "voted", images)
    labels = read_labels(tmp_path / "voted", "tournament", DecodeLimits(10**6, 10**6, 100.0))
    assert max(labels.images, key=lambda one: one.score).name == max(names)
    assert len(labels.won) == told["votes"]
    with pytest.raises(ValueError, match="is there already"):
        write_votes("foxes", tmp_path / "voted", images)
    next(file for file in images.iterdir() if file.read_bytes()).unlink()
    with pytest.raises(ValueError, match="which was voted on, is not there"):
        write_votes("foxes", tmp_path / "again", images)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"annotator": "../p7"}, "annotator is '../p7'"),
        ({"name": ".hidden"}, "name is '.hidden'"),
        ({"prompt": " "}, "prompt of 1 characters"),
    ],
)
def test_names_and_prompts_that_cannot_be_are_refused(images: Path, change: dict[str, str], told: str) -> None:
    given = {"annotator": "p7", "name": "", "prompt": "which?"} | change
    with pytest.raises(ValueError, match=told):
        open_session(images, **given, num_calibration=0, seed=0)


def started(images: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    """The command in a process of its own, and the address that it prints."""
    options = ["--annotator", "p7", "--prompt", PROMPT, "--calibration", str(NUM_PAIRS), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "annotate", str(images), *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    found = re.search(r"vote at (\S+)", process.stdout.readline())
    assert found
    return process, found[1]


def ended(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """What a process still prints when it gets this signal."""
    process.send_signal(number)
    return process.communicate(timeout=60)[0]


def count(page: Page) -> int:
    return page.value("state.num_done")


def answer(page: Page, sharper: dict[str, bool]) -> None:
    """Answer a question by key, touch or as a tie, and wait until it is counted."""
    asked = page.wait("!busy && state.vote_id")
    left, done = page.value("state.left"), count(page)
    assert page.wait("document.getElementById('left').complete && document.getElementById('left').naturalWidth") > 0
    if page.value("state.phase") == "calibration":
        page.press("ArrowLeft" if sharper[left] else "ArrowRight")
    elif done % 3 == 0:
        page.tap("a")
    else:
        page.press(" " if done % 3 == 1 else "2")
    page.wait(f"!busy && state.vote_id !== {json.dumps(asked)}")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_whole_tournament_by_keys_and_touch_with_a_reload_an_undo_and_a_killed_server(
    images: Path, tmp_path: Path
) -> None:
    told = {"name": "", "prompt": PROMPT, "num_calibration": NUM_PAIRS, "seed": 0}
    session, _, folder = open_session(images, "p7", **told)
    sharper = {pair.better: True for pair in session._tournament.known}
    sharper |= {pair.worse: False for pair in session._tournament.known}
    session.close()
    process, url = started(images, 0)
    try:
        with opened(url, tmp_path / "profile") as page:
            page.wait("typeof state !== 'undefined' && state")
            assert page.value("document.getElementById('prompt').textContent") == PROMPT
            assert page.value("document.documentElement.scrollWidth <= innerWidth")
            for _ in range(2 * NUM_PAIRS):
                answer(page, sharper)
            assert page.value("state.phase") == "tournament"
            answer(page, sharper)
            page.press("z")
            page.wait("!busy && state.num_done === 1 && state.vote_id.endsWith('/0/0/1')")
            answer(page, sharper)
            page.send("Page.reload")
            page.wait("typeof state !== 'undefined' && state && state.num_done === 1")
            ended(process, signal.SIGKILL)
            page.press("1")  # into the void: the page keeps trying
            page.wait("document.getElementById('told').textContent.startsWith('Not saved yet')")
            process, _ = started(images, int(url.rsplit(":", 1)[1].strip("/")))
            page.wait("!busy && state.num_done === 2")
            total = num_comparisons(NUM_IMAGES, 0.05)
            while page.value("state.phase") != "done":
                answer(page, sharper)
            assert count(page) == total
            assert "Thank you" in page.value("document.body.innerText")
    finally:
        printed = ended(process, signal.SIGINT)
    assert f"done: {total} of {total} votes" in printed
    logged = read_log(folder / "votes.jsonl")
    assert len({vote.match for vote in logged}) == total
    assert len(logged) == len(read_votes(folder / "votes.jsonl")) == total + 1  # one was changed
    session, _, _ = open_session(images, "p7", **told)
    assert outcome(session)["ranking"][0]["tier"] == 10
    session.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_two_browsers_in_one_tournament_never_count_a_question_twice(server: VotingServer, tmp_path: Path) -> None:
    with opened(server.url, tmp_path / "one") as one, opened(server.url, tmp_path / "two") as two:
        for page in (one, two):
            page.wait("typeof state !== 'undefined' && state")
        seen = [page.value("state.vote_id") for page in (one, two)]
        assert seen[0] == seen[1]
        one.press("1")
        one.wait(f"!busy && state.vote_id !== {json.dumps(seen[0])}")
        two.press("2")  # on a page that is behind: it is told how things stand, and changes nothing
        two.wait(f"!busy && state.vote_id !== {json.dumps(seen[1])}")
        assert one.value("state") == two.value("state")
        page, other = one, two
        while server.session.state().phase != "done":
            page.send("Page.reload")
            before = page.wait("typeof state !== 'undefined' && !busy && state && state.num_done")
            page.press("2")
            page.wait(f"!busy && state.num_done === {before + 1}")
            page, other = other, page
        other.send("Page.reload")
        assert other.wait("typeof state !== 'undefined' && state && state.phase") == "done"
    logged = read_log(log_of("p7"))
    assert len(logged) == len({vote.match for vote in logged}) == server.session.state().num_done
    assert [vote.choice for vote in logged][:1] == ["a"]


def test_a_server_that_is_killed_while_votes_come_loses_none_that_it_answered(images: Path) -> None:
    session, _, folder = open_session(images, "p7", name="", prompt=PROMPT, num_calibration=NUM_PAIRS, seed=0)
    better = {pair.better for pair in session._tournament.known}
    session.close()
    answered, delays = set[str](), [0.01, 0.03, 0.05]  # seconds after the first question, in which several are answered
    process, url = started(images, 0)
    try:
        while True:
            killer = Timer(delays.pop(), process.kill) if delays else None
            try:
                with httpx.Client(base_url=url, trust_env=False) as web:
                    state = web.get("/state").json()
                    if killer:
                        killer.start()
                    while asked := state["vote_id"]:
                        is_left = state["left"] in better if state["phase"] == "calibration" else len(answered) % 2
                        for _ in range(2):  # a page that got no answer sends its vote again
                            state = web.post("/vote", json={"vote_id": asked, "choice": "a" if is_left else "b"}).json()
                        answered.add(asked)
                    assert killer is None, "the server was to be killed before the end"
                    break
            except httpx.TransportError:
                process.communicate(timeout=60)
                process, _ = started(images, int(url.rsplit(":", 1)[1].strip("/")))
    finally:
        ended(process, signal.SIGINT)
    logged = [vote.vote_id for name in ("calibration", "votes") for vote in read_log(folder / f"{name}.jsonl")]
    assert len(logged) == len(set(logged))
    assert answered <= set(logged)
    assert not delays
