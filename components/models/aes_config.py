"""What an Aes model sees pictures by, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal

BackboneKind = Literal["lite0", "transformers", "timm", "token_score"]


@dataclass(frozen=True)
class AesBackbone:
    """A frozen network. `lite0` comes in a package and has no name; the others have: a folder, or a name on a hub.

    Args:
        kind: `lite0`: `image_features` of squares of `px`; `transformers`, `timm`: any image network of theirs;
            `token_score`: a vision language model that says its score as one of 101 tokens.
        name: of the network; None for `lite0`.
        revision: of a name on a hub, where one is pinned.
        px: side of the squares that `lite0` sees; the other kinds have a size of their own.
    """

    kind: BackboneKind
    name: str | None
    revision: str | None
    px: int

    def __post_init__(self) -> None:
        if (self.kind == "lite0") != (self.name is None):
            raise ValueError(f"backbone {self.kind} has the name {self.name!r}; only lite0 has none (null)")
        if self.kind == "lite0" and (self.px < 32 or self.px % 32):
            raise ValueError(f"px is {self.px}; allowed: multiples of 32")
