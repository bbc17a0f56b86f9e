"""The stage `enhancer` on a small table of wishes: what it leaves, and that stock transformers asks it."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError

from components.data import records
from components.enhancer.wishes import WISHES
from flows.stages.enhancer import Metrics, Params, enhancer

ROOT = Path(__file__).parents[2]
NAMES = [f"{first}{second}" for first in ("fox", "owl", "pear", "boat", "lamp") for second in ("ling", "ette", "ish")]
SPLITS = ("train", "train", "train", "heldout_concept")
# As diffusers asks it, by an interpreter that has nothing of ours.
STRANGER = """
import json, sys
import torch
from transformers import AutoTokenizer, Ministral3ForCausalLM

model = Ministral3ForCausalLM.from_pretrained(f"{sys.argv[1]}/pe")
tokenizer = AutoTokenizer.from_pretrained(f"{sys.argv[1]}/pe_tokenizer")
content = json.dumps({"prompt": "a red fox", "width": 64, "height": 64}, ensure_ascii=False)
text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
asked = tokenizer(text, return_tensors="pt")
torch.manual_seed(0)
told = model.generate(
    **asked,
    max_new_tokens=tokenizer.model_max_length,
    do_sample=True,
    temperature=0.6,
    top_p=0.95,
    pad_token_id=tokenizer.pad_token_id,
    eos_token_id=tokenizer.eos_token_id,
)
print(json.dumps(tokenizer.decode(told[0][asked["input_ids"].shape[1] :], skip_special_tokens=True)))
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "wish_id": f"{number}",
            "sample_id": f"{number:064}",
            "language": "en",
            "style": "keywords",
            "wish": f"red {name}",
            "width": 64,
            "height": 64,
            "description": f"A picture of a red {name}. The {name} is red. Square composition.",
            "split": SPLITS[number % 4],
            "maker": "test",
        }
        for number, name in enumerate(NAMES * 4)
    ]
    file = tmp_path_factory.mktemp("wishes") / "wishes.parquet"
    records.write_table(pa.Table.from_pylist(rows, schema=WISHES), file)
    return file


@pytest.fixture(scope="module")
def params() -> dict:
    """The smoke recipe's."""
    return yaml.safe_load((ROOT / "infra" / "recipes" / "smoke.yaml").read_text())["enhancer"]


@pytest.fixture(scope="module")
def made(pairs, params, tmp_path_factory) -> tuple[Path, Metrics]:
    folder = tmp_path_factory.mktemp("enhancer")
    return folder, enhancer(Params(**params), pairs=pairs, model=folder)


def test_it_leaves_the_release_s_folders_in_safetensors(made):
    folder, metrics = made
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {
        "pe/config.json",
        "pe/generation_config.json",
        "pe/model.safetensors",
        "pe_tokenizer/tokenizer.json",
        "pe_tokenizer/tokenizer_config.json",
        "pe_tokenizer/chat_template.jinja",
        "training.json",
    }
    record = json.loads((folder / "training.json").read_text())
    assert record["held_out"]["intent_kept"] == metrics.intent_kept
    assert record["consumed"]["stop"] == 20


def test_its_figures_are_what_they_must_be(made):
    _, metrics = made
    assert metrics.perplexity_after < metrics.perplexity_before
    assert metrics.intent_kept == metrics.right_language == 1.0
    assert 0 <= metrics.fallback_share <= 1
    assert metrics.examples_seen > 0


def test_made_twice_it_is_the_same_bytes(made, pairs, params, tmp_path):
    folder, metrics = made
    assert enhancer(Params(**params), pairs=pairs, model=tmp_path) == metrics
    for file in folder.rglob("*"):
        if file.is_file():
            assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes(), file.name


def test_stock_transformers_asks_it(made):
    command = [sys.executable, "-I", "-c", STRANGER, str(made[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), str)


def test_it_goes_on_from_a_trained_one_with_adapters(made, pairs, params, tmp_path):
    from components.models.language_model import directory_sha256

    given = tmp_path / "given"
    given.mkdir()
    for folder in ("pe", "pe_tokenizer"):
        for file in (made[0] / folder).iterdir():
            (given / file.name).write_bytes(file.read_bytes())
    lora = {"rank": 2, "alpha": 2, "layers": ["q_proj", "v_proj"]}
    changed = params | {"model": None, "training": params["training"] | {"lora": lora}}
    pinned = {"directory": str(given), "sha256": directory_sha256(given)}
    metrics = enhancer(Params(**changed | {"init": pinned}), pairs=pairs, model=tmp_path / "tuned")
    assert metrics.perplexity_before == pytest.approx(made[1].perplexity_after, rel=0.2)
    with pytest.raises(ValueError, match="pin the one you mean"):
        enhancer(Params(**changed | {"init": pinned | {"sha256": "0" * 64}}), pairs=pairs, model=tmp_path / "refused")
    with pytest.raises(ValueError, match="give `model`"):
        enhancer(Params(**changed), pairs=pairs, model=tmp_path / "refused")


def test_a_table_without_held_out_wishes_is_refused(pairs, params, tmp_path):
    table = records.read_table(pairs, WISHES)
    only = table.filter(pa.compute.equal(table.column("split"), "train"))
    records.write_table(only, tmp_path / "wishes.parquet")
    with pytest.raises(ValueError, match="0 held out"):
        enhancer(Params(**params), pairs=tmp_path / "wishes.parquet", model=tmp_path)


def test_a_misspelt_parameter_is_refused(params):
    with pytest.raises(ValidationError, match="tempreture"):
        Params(**params, tempreture=1.0)
