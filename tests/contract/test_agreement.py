"""One declaration agrees with itself: what is generated, the parameter files, the README, the imports, the wheel."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import grimp
import pytest
import yaml

import components
from components.registry.gate import GateError
from flows import sync
from flows.parameters import ParameterError, check_file, read_blocks
from flows.pipeline import PIPELINE

ROOT = Path(__file__).parents[2]
PARAMETER_FILES = [ROOT / "params.yaml", *sorted((ROOT / "infra" / "recipes").glob("*.yaml"))]
HEAVY = [
    "torch",
    "mlflow",
    "prefect",
    "lightning",
    "diffusers",
    "transformers",
    "great_expectations",
    "daft",
    "sklearn",
]


def test_generated_files_are_what_the_declarations_say():
    stale = [file.name for file in sync.stale_files(PIPELINE, ROOT)]
    assert not stale, "run `make sync`"


@pytest.mark.parametrize("file", PARAMETER_FILES, ids=lambda f: f.name)
def test_every_parameter_file_has_exactly_the_declared_blocks(file):
    assert set(check_file(PIPELINE, file)) == set(PIPELINE.names)


def test_the_lock_holds_the_stages_that_there_are():
    # DVC keeps the entries of stages that were renamed or removed.
    assert set(yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]) == set(PIPELINE.names)


def test_every_parameter_is_required():
    # A default would let params.yaml hide a number that decides the result.
    optional = [f"{s.name}.{n}" for s in PIPELINE for n, f in s.params.model_fields.items() if not f.is_required()]
    assert optional == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b["ingest"].update(widht=3), "ingest.widht"),
        (lambda b: b.pop("sample"), "'sample' is missing"),
        (lambda b: b.update(sampel={}), "no stage is called 'sampel'"),
        (lambda b: b["pretrain_2"]["training"].update(seed="many"), "pretrain_2.training.seed"),
        (lambda b: b["pretrain_2"].pop("px"), "pretrain_2.px: Field required"),
        (lambda b: b.update(gate=None), "gate: expected a gate for each registered model"),
        (lambda b: b["gate"]["easel"].update(metric={}), "gate.easel.metric: no such key"),
    ],
)
def test_a_mistake_in_params_is_one_line_that_names_the_key(tmp_path, change, said):
    blocks = read_blocks(ROOT / "params.yaml")
    change(blocks)
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(blocks))
    with pytest.raises((ParameterError, GateError), match=re.escape(said)) as caught:
        check_file(PIPELINE, file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [(b"ingest: [", "line"), (b"- a\n- b\n", "one block per stage"), (b"\xff\xfe", "UTF-8")]
)
def test_a_broken_parameter_file_says_where(tmp_path, text, said):
    (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(ParameterError, match=said):
        read_blocks(tmp_path / "params.yaml")


def test_a_missing_parameter_file_says_what_to_do(tmp_path):
    with pytest.raises(ParameterError, match="copy a recipe"):
        read_blocks(tmp_path / "params.yaml")


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["flows.pipeline", "flows.cli", "flows.sync", "flows.local"])
def test_orchestration_imports_nothing_heavy(module):
    loaded = run_python(f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))")
    assert loaded.strip() == ""


def test_the_command_line_answers_without_arrays_and_tables():
    loaded = run_python("import sys, flows.cli; print(*sorted({'numpy', 'pyarrow'} & set(sys.modules)))")
    assert loaded.strip() == ""


def test_the_local_executor_never_imports_prefect():
    graph = grimp.build_graph("flows", include_external_packages=True, cache_dir=None)
    assert graph.find_modules_that_directly_import("prefect") == {"flows.build"}


@pytest.mark.parametrize("file", sorted(ROOT.glob("components/*/config.py")), ids=lambda f: f.parent.name)
def test_configs_import_the_standard_library_only(file):
    tree = ast.parse(file.read_text())
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert imported <= sys.stdlib_module_names | {"components"}


def test_dvc_can_cache_every_stage():
    # DVC keeps a run-cache entry only for a stage with a command, dependencies and outputs, none of them `persist`.
    for name, entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        assert entry["cmd"] == f"python -m flows stage {name}"
        assert entry["deps"]
        assert entry["outs"]
        assert all(isinstance(out, str) for out in entry["outs"])


def test_code_dependencies_are_what_the_stage_reaches():
    entries = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "components/objectives/flow_matching.py" in entries["pretrain_2"]["deps"]
    assert not [d for d in entries["ingest"]["deps"] if d.startswith(("components/training", "components/tracking"))]
    missing = [d for e in entries.values() for d in e["deps"] if d.endswith(".py") and not (ROOT / d).is_file()]
    assert missing == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock"])
def test_the_lock_names_no_address_and_no_torch(lock):
    lines = (ROOT / lock).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.!]+", line) for line in pins)
    assert not [line for line in pins if line.startswith("torch==")]


def test_imports_come_from_this_checkout():
    assert Path(components.__file__).is_relative_to(ROOT)


def test_the_wheel_holds_the_two_packages_and_nothing_else(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("easel-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert {file.relative_to(ROOT).as_posix() for file in (ROOT / "components").rglob("*.csv")} <= names
    assert {top for top in tops if not top.endswith(".dist-info")} == {"components", "flows"}


def test_readme_blocks_are_marked():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in ("stages", "diagram"):
        assert f"<!-- begin {block} -->" in text
        assert f"<!-- end {block} -->" in text
    assert len(text.splitlines()) <= 200


def test_render_readme_replaces_only_marked_blocks():
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert sync.render_readme(text, {"x": "new"}) == "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n"
    assert sync.render_readme(text, {"y": "new"}) == text
