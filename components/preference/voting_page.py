"""The page on which images are compared: one file, no framework, nothing loaded from elsewhere.

The script lays out text as text only; what it knows it asks of the server, so that it may be reloaded at any moment.
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Easel: which is better?</title>
<style nonce="NONCE">
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; height: 100dvh; display: flex; flex-direction: column; gap: .5rem; padding: .5rem;
  font: 1rem/1.4 system-ui, sans-serif; background: #77787a; color: #fff; }
h1 { margin: 0; font-size: 1.05rem; font-weight: 600; text-align: center; overflow-wrap: anywhere;
  max-height: 6rem; overflow: auto; }
main { flex: 1; min-height: 0; display: flex; gap: .5rem; }
main button { flex: 1; min-width: 0; min-height: 0; padding: 0; border: 3px solid transparent; border-radius: .5rem;
  background: #5f6062; }
main img { width: 100%; height: 100%; object-fit: contain; display: block; }
button { font: inherit; cursor: pointer; touch-action: manipulation; }
button:focus-visible, main button:hover { border-color: #fff; outline: none; }
footer { display: flex; gap: .5rem; align-items: center; }
footer button { min-height: 2.9rem; min-width: 4.5rem; border: 2px solid #fff6; border-radius: .5rem; background: #333;
  color: #fff; }
footer button:disabled { opacity: .4; cursor: default; }
footer p { flex: 1; margin: 0; text-align: center; } progress { width: 100%; display: block; accent-color: #fff; }
#told { margin: 0; text-align: center; } #told:empty { display: none; }
main[hidden] + #told { flex: 1; display: grid; place-content: center; padding: 1rem; font-size: 1.4rem; }
#keys { opacity: .8; } @media (hover: none) { #keys { display: none; } }
[hidden] { display: none !important; }
@media (orientation: portrait) { main { flex-direction: column; } }
</style></head><body>
<h1 id="prompt"></h1>
<main id="pair" hidden>
<button id="a" aria-label="The left image is better"><img id="left" alt="left"></button>
<button id="b" aria-label="The right image is better"><img id="right" alt="right"></button>
</main>
<p id="told" role="status"></p>
<footer>
<button id="undo" title="Z or backspace">Undo</button>
<p><span id="count"></span> <small id="keys">· keys: ← → choose, space ties, Z undoes</small>
<progress id="bar" value="0" max="1"></progress></p>
<button id="tie" title="Space or arrow down">Tie</button>
</footer>
<script nonce="NONCE">
"use strict";
const token = new URLSearchParams(location.search).get("token");
const at = path => path + (token ? "?token=" + encodeURIComponent(token) : "");
const element = id => document.getElementById(id);
const words = {calibration: "A test first: ", tournament: "", done: "", refused: ""};
const kept = new Map();
let state = null, busy = false;

function fetched(name) {
  if (!kept.has(name)) { const image = new Image(); image.src = at("/image/" + name); kept.set(name, image); }
  return kept.get(name).src;
}
function show(next) {
  state = next;
  element("prompt").textContent = state.prompt;
  element("pair").hidden = !state.vote_id;
  if (state.vote_id) {
    element("left").src = fetched(state.left);
    element("right").src = fetched(state.right);
    while (kept.size > 64) kept.delete(kept.keys().next().value);
    state.next_images.forEach(fetched);
  }
  element("count").textContent = words[state.phase] + state.num_done + " of " + state.num_total;
  element("bar").max = Math.max(1, state.num_total);
  element("bar").value = state.num_done;
  element("undo").disabled = !state.can_undo;
  element("tie").disabled = !state.vote_id;
  element("told").textContent = state.phase === "done" ? "That was all. Thank you!"
    : state.phase === "refused" ? "The test was not passed: " + state.reasons.join("; ") : "";
  document.body.dataset.phase = state.phase;
}
async function ask(path, body) {
  if (busy) return;
  busy = true;
  const request = body === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  for (let wait = 250; ; wait = Math.min(4000, wait * 2)) {
    try {
      const answer = await fetch(at(path), request);
      if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
      show(await answer.json());
      break;
    } catch (error) {
      element("told").textContent = "Not saved yet, trying again. " + error.message;
      await new Promise(done => setTimeout(done, wait));
    }
  }
  busy = false;
}
const vote = choice => { if (state && state.vote_id) ask("/vote", {vote_id: state.vote_id, choice: choice}); };
const undo = () => { if (state && state.can_undo) ask("/undo", {}); };
const keys = {ArrowLeft: () => vote("a"), 1: () => vote("a"), ArrowRight: () => vote("b"), 2: () => vote("b"),
  ArrowDown: () => vote("tie"), " ": () => vote("tie"), z: undo, Backspace: undo};
addEventListener("keydown", event => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});
element("a").onclick = () => vote("a");
element("b").onclick = () => vote("b");
element("tie").onclick = () => vote("tie");
element("undo").onclick = undo;
ask("/state");
</script></body></html>
"""
