"""Captioners by name; `caption.captioners` in params.yaml says which are asked, and in which order their rows stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from components.data.captioners.endpoint import EndpointCaptioner
from components.data.captioners.interface import Captioner
from components.data.captioners.local_model import Describe, LocalCaptioner
from components.data.captioners.metadata import MetadataCaptioner
from components.data.captions import Language
from components.data.config import DecodeLimits, LocalVisionModel, VisionEndpoint
from components.data.errors import DataError


@dataclass(frozen=True)
class Means:
    """What captioners need besides samples, of which there will be `num_images`.

    `load` makes a function of a local model; `api_key` is never shown.
    """

    languages: Sequence[Language]
    limits: DecodeLimits
    num_images: int
    vlm: VisionEndpoint | None = None
    transformers: LocalVisionModel | None = None
    load: Callable[[LocalVisionModel], Describe] | None = None
    api_key: str = field(default="", repr=False)


def _endpoint(means: Means) -> Captioner:
    if means.vlm is None:
        raise DataError("caption.captioners names vlm, but caption.vlm is null; give it a url and a model")
    return EndpointCaptioner(means.vlm, means.languages, means.limits, means.num_images, means.api_key)


def _local(means: Means) -> Captioner:
    if means.transformers is None or means.load is None:
        raise DataError("caption.captioners names transformers, but caption.transformers is null; give it a model")
    return LocalCaptioner(means.transformers, means.languages, means.limits, means.load(means.transformers))


CAPTIONERS: Mapping[str, Callable[[Means], Captioner]] = {
    "metadata": lambda means: MetadataCaptioner(means.languages),
    "vlm": _endpoint,
    "transformers": _local,
}
