"""A model of 2 GB signed and verified, ours and the OpenSSF library's by turns in one run: seconds, and their ratio.

The model lies in files as large pipelines have them; it was just written, so that both read it from memory. Each side
must accept the other's signature, or nothing is measured.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from harness import Figure, at_most, in_child

FILES_MB = {
    "transformer/part-1.safetensors": 800,
    "transformer/part-2.safetensors": 600,
    "text_encoder/model.safetensors": 500,
    "vae/diffusion_pytorch_model.safetensors": 100,
}
ROUNDS = 3
BOUND = {"record": "ab" * 32, "data_roots": [], "evaluation": "cd" * 32, "fingerprint": "ef" * 32}


def measure(folder: Path) -> list[Figure]:
    write_model(folder / "model")
    run = in_child(by_turns, folder)
    seconds = {name: median(taken) for name, taken in run.value.items()}
    return [
        at_most("2 GB signed", seconds["sign"], "s", 10),
        Figure("2 GB verified", seconds["verify"], "s"),
        Figure("signing, the stock library's time over ours", seconds["stock sign"] / seconds["sign"], "times"),
        Figure("verifying, the stock library's time over ours", seconds["stock verify"] / seconds["verify"], "times"),
        Figure("peak memory, both sides", run.peak_mb, "MB"),
    ]


def write_model(folder: Path) -> None:
    """Files of random bytes."""
    for name, size in FILES_MB.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for _ in range(size):
                stream.write(os.urandom(1_000_000))


def by_turns(folder: Path) -> dict[str, list[float]]:
    """Seconds of every round, by what was done."""
    from model_signing import signing, verifying

    from components.lineage.keys import make_key
    from components.lineage.model_signature import check_model, sign_model

    model, key = folder / "model", make_key(folder / "key.pem")
    public, ours, theirs = folder / "key.pub", folder / "ours.sig", folder / "theirs.sig"
    public.write_bytes(key.public_pem)

    def check(signature: Path) -> None:
        fault = check_model(model, signature.read_bytes(), key.public_pem)
        assert fault is None, fault

    def stock_check(signature: Path) -> None:
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, signature)

    stock_signing = signing.Config().use_elliptic_key_signer(private_key=folder / "key.pem")
    work: dict[str, Callable[[], object]] = {
        "sign": lambda: ours.write_bytes(sign_model(model, key, BOUND)),
        "stock sign": lambda: stock_signing.sign(model, theirs),
        "verify": lambda: check(theirs),
        "stock verify": lambda: stock_check(ours),
    }
    return _rounds(work)


def _rounds(work: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, function in work.items():
            started = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - started)
    return taken
