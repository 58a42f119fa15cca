"""Steps that change the size of images."""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.steps import (
    Batch,
    Keys,
    Range,
    Task,
    check_known,
    check_range,
    check_share,
    full_size,
    recorded,
    register_step,
    share_of,
    uniform,
)
from blindsr_jax.degradations.variable_size import Interpolation, resize_to
from blindsr_jax.errors import InputError
from blindsr_jax.ops.resize import imresize, resize_matrix, s_fold_down

Downsampling = typing.Literal["bicubic", "s_fold"]


@register_step("downsample")
@dataclasses.dataclass(frozen=True)
class Downsample:
    """Downsample to LR size in one step.

    Attributes:
      kind: ``bicubic`` (MATLAB's imresize; DAN's and DSSR's tables) or ``s_fold`` (the upper-left pixel of each block).
    """

    kind: Downsampling = "bicubic"

    def __post_init__(self) -> None:
        check_known("downsample: kind", self.kind, typing.get_args(Downsampling))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        lengths = batch.image.shape[1:3]
        if batch.size is not None or lengths != tuple(task.scale * side for side in task.lr_size):
            raise InputError("downsample: the images were resized before; use resize((1, 1)) to bring them to LR size")
        if self.kind == "s_fold":
            return batch._replace(image=s_fold_down(batch.image, task.scale))
        gain = np.prod([_gain(resize_matrix(length, 1 / task.scale)) for length in lengths])
        return batch._replace(image=imresize(batch.image, 1 / task.scale), sigma=batch.sigma * gain)


def _gain(weights: np.ndarray) -> float:
    """The factor by which a linear map of an axis changes the standard deviation of white noise."""
    return float(np.sqrt(np.square(weights).sum(axis=1).mean()))


@register_step("resize")
@dataclasses.dataclass(frozen=True)
class Resize:
    """Resize each image to a random size by a random interpolation.

    Attributes:
      size: lowest and highest factor. (1, 1) with ``relative_to="lr"`` resizes images to LR size.
      kinds: interpolations to choose from with equal probability; a repeated one is more likely. See
        ``variable_size.resize_to``.
      relative_to: reference of the factor: ``lr``, the size of LR images, or ``image``, the present size.
      up_rate, down_rate: share of images whose factor is uniform between one and the highest, and share whose factor is
        uniform between the lowest and one; the other images keep a factor of one. If both are None, the factor is
        log-uniform in the whole range.
    """

    size: Range = (1.0, 1.0)
    kinds: tuple[Interpolation, ...] = ("antialiased_bicubic",)
    relative_to: typing.Literal["lr", "image"] = "lr"
    up_rate: float | None = None
    down_rate: float | None = None

    def __post_init__(self) -> None:
        check_range("resize: size", self.size, lowest=0.05, highest=16)
        if not isinstance(self.kinds, tuple) or not self.kinds:
            raise InputError(f"resize: kinds must be one or more names in parentheses, got {self.kinds!r}")
        for kind in self.kinds:
            check_known("resize: kinds", kind, typing.get_args(Interpolation))
        check_known("resize: relative_to", self.relative_to, ("lr", "image"))
        if (self.up_rate is None) != (self.down_rate is None):
            raise InputError("resize: give up_rate and down_rate, or neither of them")
        if self.up_rate is not None and self.down_rate is not None:
            check_share("resize: up_rate + down_rate", self.up_rate + self.down_rate)
            check_share("resize: up_rate", self.up_rate)
            check_share("resize: down_rate", self.down_rate)
            if not self.size[0] <= 1 <= self.size[1]:
                raise InputError(
                    f"resize: with up_rate and down_rate the size must go from at most to at least 1: {self.size}"
                )

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        count = len(batch.image)
        here = full_size(batch)
        whole = task.lr_size if self.relative_to == "lr" else batch.image.shape[1:3]
        reference = jnp.array(task.lr_size)[None] if self.relative_to == "lr" else here
        height, width = (max(round(self.size[1] * side), 1) for side in whole)
        canvas = height, width
        same = self.size[0] == self.size[1] and (self.relative_to == "lr" or batch.size is None)
        factor = self._factor(keys, count)
        wanted = jnp.clip(jnp.round(factor[:, None] * reference), 1, jnp.array(canvas)[None]).astype(jnp.int32)
        if same:
            wanted = jnp.broadcast_to(jnp.array(canvas, jnp.int32), (count, 2))
        kind = jax.random.randint(keys("interpolation"), (count,), 0, len(self.kinds))
        image, gain = resize_to(batch.image, here, wanted, canvas, self.kinds, kind)
        batch = recorded(batch, size=share_of(factor, self.size), interpolation=jax.nn.one_hot(kind, len(self.kinds)))
        return batch._replace(image=image, size=None if same else wanted, sigma=batch.sigma * gain)

    def _factor(self, keys: Keys, count: int) -> jax.Array:
        low, high = self.size
        if self.up_rate is None or self.down_rate is None:
            return jnp.exp(uniform(keys("size"), count, (jnp.log(low), jnp.log(high))))
        place = jax.random.uniform(keys("direction"), (count,))
        up = place < self.up_rate
        bounds = jnp.where(up, 1.0, low), jnp.where(up, high, 1.0)
        return jnp.where(place < self.up_rate + self.down_rate, uniform(keys("size"), count, bounds), 1.0)
