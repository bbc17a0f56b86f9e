"""Latents that are encoded when a batch asks for them: for images too many to be worth keeping encoded.

Rows, captions and order are those of latents that were kept, so a run sees the same samples at the same positions; the
latents are equal to float16's rounding, since convolutions add up differently for other numbers of images at once.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float16, Int64

from components.data.buckets import STRIDE_PX, Bucket
from components.data.config import BucketFit, DecodeLimits
from components.data.errors import DataError
from components.data.latents import LatentStore, read_selection
from components.training.encoded_parts import Pictures
from components.training.encoding import encode_images, group_rows

_PACKED = 4  # 2 x 2 cells of the autoencoder's latents are the channels of one


@dataclass(frozen=True)
class FreshLatents:
    """The latents of some of `pictures` in one bucket, of the resolution that they are given for first."""

    pictures: Pictures
    rows: Int64[np.ndarray, " n"]
    bucket: Bucket
    autoencoder: AutoencoderKLFlux2
    fit: BucketFit
    limits: DecodeLimits
    batch_size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """n, c, h, w."""
        channels = _PACKED * self.autoencoder.config.latent_channels  # pyright: ignore[reportAttributeAccessIssue]
        return len(self.rows), channels, self.bucket.height // STRIDE_PX, self.bucket.width // STRIDE_PX

    def __getitem__(self, rows: Int64[np.ndarray, " b"], /) -> Float16[np.ndarray, "b c h w"]:
        """The latents of the bucket's `rows`, each image decoded and encoded once however often it is named."""
        once, places = np.unique(rows, return_inverse=True)
        numbers: list[int] = self.rows[once].tolist()
        data = self.pictures.read([self.pictures.sample_ids[number] for number in numbers]).column("bytes").to_pylist()
        sizes, crops = [self.pictures.sizes[number] for number in numbers], [(self.bucket,)] * len(numbers)
        (group,) = encode_images(self.autoencoder, data, sizes, crops, self.fit, self.limits, self.batch_size)
        return group.latents[0][places]


def read_fresh(
    directory: Path,
    pictures: Pictures,
    autoencoder: AutoencoderKLFlux2,
    fit: BucketFit,
    limits: DecodeLimits,
    batch_size: int,
) -> dict[Bucket, LatentStore]:
    """As `latents.read_buckets`, for a folder with rows, captions and texts whose latents nobody kept.

    `pictures` are the images of the rows in their order, for one resolution. DataError if they are others.
    """
    selection = read_selection(directory)
    if selection.rows.column("sample_id").to_pylist() != list(pictures.sample_ids):
        raise DataError(f"{directory}: its rows are not the images that are given; run `encode` again")
    return {
        bucket: selection.of_rows(rows, FreshLatents(pictures, rows, bucket, autoencoder, fit, limits, batch_size))
        for (bucket,), rows in group_rows(pictures.crops)
    }
