"""Configuration of the data components: frozen, torch-free, standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeLimits:
    """What an image may cost before it is decoded.

    `max_ratio` is decoded bytes over stored bytes; it is asked only of images that decode to more than 1 MiB, because
    a small blank picture compresses a thousandfold and harms nobody.
    """

    max_pixels: int
    max_bytes: int
    max_ratio: float
