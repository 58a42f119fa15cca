"""Steps that store an image in a file: clipping, JPEG and rounding."""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.jpeg import Subsampling, jpeg
from blindsr_jax.degradations.steps import (
    NO_JPEG,
    Batch,
    Keys,
    Task,
    check_known,
    check_range,
    check_share,
    chosen,
    filled,
    recorded,
    register_step,
    share_of,
    where,
)
from blindsr_jax.errors import InputError
from blindsr_jax.ops.pixel import round_to_8bit


@register_step("clip")
@dataclasses.dataclass(frozen=True)
class Clip:
    """Clip to [0, 1] without rounding."""

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        return batch._replace(image=jnp.clip(batch.image, 0, 1))


@register_step("jpeg")
@dataclasses.dataclass(frozen=True)
class Jpeg:
    """JPEG compression and decompression, equal to libjpeg's; it rounds compressed images to 8 bits.

    If images do not fill their arrays, their border pixels are repeated, as libjpeg does. Only the chroma of 4:2:0 may
    then differ from libjpeg's near the lower and right borders.

    Attributes:
      quality: lowest and highest quality, drawn for each image; whole numbers from 1 to 100.
      rate: share of images to compress.
      subsampling: chroma subsampling: ``420`` or ``444``.
    """

    quality: tuple[int, int] = (30, 95)
    rate: float = 1.0
    subsampling: Subsampling = "420"

    def __post_init__(self) -> None:
        check_range("jpeg: quality", self.quality, lowest=1, highest=100)
        if any(bound != int(bound) for bound in self.quality):
            raise InputError(f"jpeg: quality must be whole numbers, got {self.quality}")
        check_share("jpeg: rate", self.rate)
        check_known("jpeg: subsampling", self.subsampling, typing.get_args(Subsampling))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        low, high = map(int, self.quality)
        quality = jax.random.randint(keys("quality"), (len(batch.image),), low, high + 1)
        images = chosen(keys, "compressed", self.rate, batch)
        image = where(images, jpeg(filled(batch), quality, self.subsampling), batch.image)
        batch = recorded(batch, jpeg=images, quality=share_of(quality, self.quality) * images)
        quality = jnp.where(images, quality, NO_JPEG).astype(batch.quality.dtype)
        return batch._replace(image=image, quality=jnp.minimum(batch.quality, quality))


@register_step("round8")
@dataclasses.dataclass(frozen=True)
class Round8:
    """Clip to [0, 1] and round to 8 bits, as in a file.

    Attributes:
      direction: ``nearest``, or ``down`` like a plain cast to integers.
    """

    direction: typing.Literal["nearest", "down"] = "nearest"

    def __post_init__(self) -> None:
        check_known("round8: direction", self.direction, ("nearest", "down"))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        if self.direction == "nearest":
            return batch._replace(image=round_to_8bit(batch.image))
        return batch._replace(image=jnp.floor(jnp.clip(batch.image, 0, 1) * 255) / 255)
