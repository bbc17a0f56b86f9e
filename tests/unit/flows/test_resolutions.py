"""A resolution that the autoencoder's stride does not divide is refused before any work."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from flows.stages import encode, encode_sft, pretrain, sft

PARAMS = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("px", [40, 8, 0, -16])
@pytest.mark.parametrize(
    ("stage", "block", "field", "wrap"),
    [
        (encode, "encode", "resolutions_px", lambda px: (32, px)),
        (encode_sft, "encode_sft", "resolutions_px", lambda px: (32, px)),
        (pretrain, "pretrain_1", "px", lambda px: px),
        (sft, "sft", "px", lambda px: px),
    ],
)
def test_sides_are_multiples_of_the_stride(stage, block, field, wrap, px):
    params: type[BaseModel] = stage.Params
    params(**PARAMS[block])
    with pytest.raises(ValidationError, match=rf"{field}[\s\S]*(multiple of 16|greater than 0)"):
        params(**PARAMS[block] | {field: wrap(px)})
