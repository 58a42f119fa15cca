"""Steps that add noise. None of them clips."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.noise import add_awgn, add_correlated, add_poisson
from blindsr_jax.degradations.steps import (
    Batch,
    Keys,
    Range,
    Task,
    check_range,
    check_share,
    chosen,
    recorded,
    register_step,
    share_of,
    uniform,
    where,
)


@register_step("noise")
@dataclasses.dataclass(frozen=True)
class Noise:
    """Add white Gaussian noise.

    Attributes:
      level: lowest and highest standard deviation on the 0–255 scale, drawn for each image.
      free_rate: share of images without noise.
      grey_rate: share of images whose channels all get the same noise.
    """

    level: Range = (0.0, 0.0)
    free_rate: float = 0.0
    grey_rate: float = 0.0

    def __post_init__(self) -> None:
        check_range("noise: level", self.level)
        check_share("noise: free_rate", self.free_rate)
        check_share("noise: grey_rate", self.grey_rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        key_level, key_noise = keys("level"), keys("noise")
        if not self.level[1] > 0:
            return batch
        count = len(batch.image)
        sigma = uniform(key_level, count, self.level) / 255.0
        if self.free_rate > 0:
            noisy = jax.random.bernoulli(jax.random.fold_in(key_level, 1), 1 - self.free_rate, (count,))
            sigma = jnp.where(noisy, sigma, 0.0)
        grey = chosen(keys, "grey", self.grey_rate, batch)
        image = add_awgn(key_noise, batch.image, sigma, grey)
        batch = recorded(batch, noise=share_of(255 * sigma, self.level) * (sigma > 0), grey=grey)
        return batch._replace(image=image, sigma=jnp.hypot(batch.sigma, sigma))


@register_step("shot_noise")
@dataclasses.dataclass(frozen=True)
class ShotNoise:
    """Add a sensor's shot noise, whose variance grows with the light because light consists of photons.

    Attributes:
      level: lowest and highest standard deviation of white pixels on the 0–255 scale, drawn for each image.
      free_rate: share of images without this noise.
    """

    level: Range = (0.0, 0.0)
    free_rate: float = 0.0

    def __post_init__(self) -> None:
        check_range("shot_noise: level", self.level)
        check_share("shot_noise: free_rate", self.free_rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        sigma = uniform(keys("shot_level"), len(batch.image), self.level) / 255.0
        photons = 1 / jnp.square(jnp.maximum(sigma, 1e-3))  # photons in a white pixel
        noisy = add_poisson(keys("shot_noise"), batch.image, counts=photons)
        images = chosen(keys, "shot", 1 - self.free_rate, batch)
        at_half = where(images, sigma * 0.5**0.5, jnp.zeros_like(sigma))  # standard deviation at middle grey
        return batch._replace(image=where(images, noisy, batch.image), sigma=jnp.hypot(batch.sigma, at_half))


@register_step("poisson_noise")
@dataclasses.dataclass(frozen=True)
class PoissonNoise:
    """Add Real-ESRGAN's Poisson noise; the photon count follows from the image's levels, see ``noise.add_poisson``.

    Attributes:
      scale: lowest and highest factor of the noise, drawn for each image.
      grey_rate: share of images whose channels all get the noise of the luma.
    """

    scale: Range = (0.05, 3.0)
    grey_rate: float = 0.0

    def __post_init__(self) -> None:
        check_range("poisson_noise: scale", self.scale)
        check_share("poisson_noise: grey_rate", self.grey_rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        scale = uniform(keys("poisson_scale"), len(batch.image), self.scale)
        grey = chosen(keys, "poisson_grey", self.grey_rate, batch)
        batch = recorded(batch, poisson_noise=share_of(scale, self.scale), grey=grey)
        return _measured(batch, add_poisson(keys("poisson_noise"), batch.image, scale, grey))


@register_step("correlated_noise")
@dataclasses.dataclass(frozen=True)
class CorrelatedNoise:
    """Add BSRGAN's noise, which is correlated between channels; see ``noise.add_correlated``.

    Attributes:
      level: lowest and highest bound of a channel's standard deviation on the 0–255 scale; the bound is drawn for each
        image.
    """

    level: Range = (25.0, 25.0)

    def __post_init__(self) -> None:
        check_range("correlated_noise: level", self.level)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        level = uniform(keys("correlated_level"), len(batch.image), self.level) / 255.0
        return _measured(batch, add_correlated(keys("correlated_noise"), batch.image, level))


def _measured(batch: Batch, noisy: jax.Array) -> Batch:
    """Return the batch with these noisy images, and add their measured noise level to ``sigma``."""
    sigma = jnp.std(noisy - batch.image, axis=(1, 2, 3))
    return batch._replace(image=noisy, sigma=jnp.hypot(batch.sigma, sigma))
