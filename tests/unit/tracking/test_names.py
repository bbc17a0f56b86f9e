import dataclasses
import math

import pytest

from components.tracking.names import checked_artifact_path, clipped, finite_only, flatten, safe_name


@pytest.mark.parametrize(
    "name",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../secret",
        "a/../../b",
        "~/x",
        ".hidden",
        "a/.git/config",
        "",
        "a\nb",
        "x" * 300,
    ],
)
def test_names_that_could_leave_the_artifact_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not allowed"):
        checked_artifact_path(name)


@pytest.mark.parametrize("name", ["report.json", "grids/step 100.png", "a/b-c/d_e.safetensors", "_x"])
def test_ordinary_names_pass_unchanged(name: str) -> None:
    assert checked_artifact_path(name) == name


def test_safe_names_hold_only_what_mlflow_accepts() -> None:
    assert safe_name("lr@0:5 / 红") == "lr_0_5 / _"
    assert safe_name("") == "_"
    assert len(safe_name("x" * 1000)) == 250


def test_nested_parameters_become_dotted_keys() -> None:
    @dataclasses.dataclass
    class Model:
        width: int
        betas: tuple[float, float]

    flat = flatten({"model": Model(160, (0.9, 0.95)), "name": "x", "data": {"on": True, "none": None}})
    assert flat == {
        "model.width": "160",
        "model.betas": "[0.9, 0.95]",
        "name": "x",
        "data.on": "true",
        "data.none": "null",
    }


def test_long_values_are_cut_and_say_so() -> None:
    assert clipped("x" * 10, 5) == "xxxx…"
    assert len(flatten({"long": "x" * 9000})["long"]) == 6000


def test_non_finite_values_are_set_apart() -> None:
    finite, dropped = finite_only({"a": 1, "b": math.nan, "c": -math.inf})
    assert finite == {"a": 1.0}
    assert dropped == ["b", "c"]
