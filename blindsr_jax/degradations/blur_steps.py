"""Steps that blur and sharpen."""

from __future__ import annotations

import dataclasses
import typing

import jax.numpy as jnp

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.degradations.samplers import Kernels
from blindsr_jax.degradations.sharpening import unsharp_mask
from blindsr_jax.degradations.steps import (
    Batch,
    Keys,
    Range,
    Task,
    check_known,
    check_number,
    check_range,
    check_share,
    chosen,
    filled,
    recorded,
    register_step,
    uniform,
    where,
)
from blindsr_jax.errors import InputError
from blindsr_jax.ops.blur import BorderMode, blur


@register_step("blur")
@dataclasses.dataclass(frozen=True)
class Blur:
    """Blur each image with its own kernel. Images that are not blurred have the Dirac kernel.

    Attributes:
      kernels: the kernel sampler; None to use the kernels that the batch already has (``degrade(kernel=array)``).
      mode: border of the blur, see ``ops.blur``.
      rate: share of images to blur.
    """

    kernels: Kernels | None = None
    mode: BorderMode = "reflect"
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.kernels, Kernels | None):
            raise InputError(f"blur: kernels must be a sampler such as isotropic(sigma=(0.2, 4.0)), got {self.kernels}")
        check_known("blur: mode", self.mode, typing.get_args(BorderMode))
        check_share("blur: rate", self.rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        kernel, description = batch.kernel, None
        if self.kernels is not None:
            key, count = keys("kernel"), len(batch.image)
            kernel = self.kernels.draw(key, count, size=task.kernel_size, pool=task.pool)
            description = self.kernels.description(key, count, size=task.kernel_size)
        elif kernel is None:
            raise InputError("blur: without a sampler it needs the kernels of the batch; give them, or name a sampler")
        none = jnp.broadcast_to(dirac(kernel.shape[-1]), kernel.shape)
        blurred = chosen(keys, "blurred", self.rate, batch)
        kernel = where(blurred, kernel, none)
        if description is not None:
            batch = recorded(batch, kernel=where(blurred, description, jnp.zeros_like(description)))
        return batch._replace(
            image=blur(filled(batch), kernel, self.mode),
            kernel=kernel if batch.kernel is None else batch.kernel,
            sigma=batch.sigma * jnp.sqrt(jnp.square(kernel).sum(axis=(1, 2))),
        )


@register_step("sharpen")
@dataclasses.dataclass(frozen=True)
class Sharpen:
    """Sharpen by unsharp masking, as in cameras and editors; see ``sharpening.unsharp_mask``.

    Attributes:
      amount: lowest and highest weight of the added difference, drawn for each image.
      radius: standard deviation of the blur in pixels.
      rate: share of images to sharpen.
      threshold: smallest difference to sharpen, on the 0–255 scale; by default all differences are sharpened.
    """

    amount: Range = (0.5, 0.5)
    radius: float = 1.0
    rate: float = 1.0
    threshold: float = -1.0

    def __post_init__(self) -> None:
        check_range("sharpen: amount", self.amount)
        check_number("sharpen: radius", self.radius, 0.1, 64)
        check_share("sharpen: rate", self.rate)
        check_number("sharpen: threshold", self.threshold, -1, 255)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        amount = uniform(keys("amount"), len(batch.image), self.amount)
        amount = jnp.where(chosen(keys, "sharpened", self.rate, batch), amount, 0.0)
        sharp = unsharp_mask(filled(batch), amount, radius=self.radius, threshold=self.threshold)
        return batch._replace(image=sharp)
