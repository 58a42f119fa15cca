"""DPIR: plug-and-play super-resolution with any denoiser (Zhang et al., TPAMI 2021)."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.networks.drunet import DRUNet
from blindsr_jax.networks.network import Network
from blindsr_jax.ops.fft import data_solution
from blindsr_jax.ops.resize import interpolate_bicubic, move_to_upper_left
from blindsr_jax.ops.total_variation import total_variation_denoise
from blindsr_jax.types import SROutput, Trace

Denoiser = typing.Callable[[jax.Array, jax.Array], jax.Array]

_FIRST_LEVEL = 49 / 255  # noise level of the first denoising
_SMALLEST_SIGMA = 0.001  # lower bound of σ, used for noise-free images
_PRIOR_WEIGHT = 0.23  # λ


def noise_schedule(
    iterations: int, *, sigma: jax.Array | float, last: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """Compute the weights of the data steps and the noise levels of the denoising steps (section 4.2).

    Formula: σ_i runs from 49/255 to ``last`` in logarithmic steps; ρ_i = λ·max(σ, 0.001)²/σ_i² with λ = 0.23.

    Args:
      iterations: T.
      sigma: noise level of the LR image, in [0, 1]; a number, or [B].
      last: noise level of the last denoising, a number or [B]; DPIR uses max(s/255, σ) for super-resolution.

    Returns:
      (rho, level), [T] or [T, B] each.

    >>> rho, level = noise_schedule(8, sigma=0.0, last=0.01)
    >>> [round(255 * float(x), 2) for x in (level[0], level[-1])], round(float(rho[-1]), 5)
    ([49.0, 2.55], 0.0023)
    """
    sigma, last = jnp.broadcast_arrays(jnp.asarray(sigma, float), jnp.asarray(last, float))
    place = jnp.linspace(0, 1, iterations).reshape(-1, *[1] * last.ndim)
    level = _FIRST_LEVEL ** (1 - place) * last[None] ** place
    return _PRIOR_WEIGHT * jnp.square(jnp.maximum(sigma, _SMALLEST_SIGMA)[None] / level), level


def initial_image(lr: jax.Array, scale: int) -> jax.Array:
    """Return DPIR's initial image: bicubic interpolation, shifted so that ``s_fold_down`` meets the LR pixels."""
    size = (lr.shape[1] * scale, lr.shape[2] * scale)
    return move_to_upper_left(interpolate_bicubic(lr, size, align_corners=False), scale)


def half_quadratic_splitting(
    lr: jax.Array,
    kernel: jax.Array,
    denoiser: Denoiser,
    *,
    scale: int,
    sigma: jax.Array | float = 0.0,
    iterations: int = 24,
    trace: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """Alternate the exact data step and a denoiser whose noise level decreases from step to step (section 4).

    Each step denoises the image in another of its eight orientations, so that orientation-dependent errors of the
    denoiser average out (section 4.3, in the order of the authors' code).

    Args:
      lr: [B, H, W, C] in [0, 1], made by circular blur and ``s_fold_down``.
      kernel: [B, K, K], or [1, K, K] shared by all images; a correlation kernel summing to one, with odd K.
      denoiser: a pure function (x [B, H', W', C], level [B]) -> [B, H', W', C], for any height and width.
      scale: s; static.
      sigma: standard deviation of the noise in [0, 1]; a number, or [B].
      iterations: T.
      trace: also return the image of every step.

    Returns:
      The restored images [B, s·H, s·W, C], and the images after every step [T, ...] or None.
    """
    sigma = jnp.broadcast_to(jnp.asarray(sigma, lr.dtype), lr.shape[:1])
    schedule = noise_schedule(iterations, sigma=sigma, last=jnp.maximum(sigma, scale / 255))

    def body(x: jax.Array, now: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array | None]:
        orientation, rho, level = now
        x = data_solution(x, lr, kernel, rho, scale)
        x = _denoise_turned(denoiser, x, level, orientation)
        return x, x if trace else None

    orientations = jnp.arange(iterations) % 8
    return jax.lax.scan(body, initial_image(lr, scale), (orientations, *schedule))


def _denoise_turned(denoiser: Denoiser, x: jax.Array, level: jax.Array, orientation: jax.Array) -> jax.Array:
    """Denoise in an orientation from 0 to 7: bit 2 flips rows, bit 4 flips columns, then bit 1 transposes."""

    def flip(x: jax.Array) -> jax.Array:
        x = jnp.where(orientation & 2, jnp.flip(x, 1), x)
        return jnp.where(orientation & 4, jnp.flip(x, 2), x)

    def upright(x: jax.Array) -> jax.Array:
        return denoiser(x, level)

    def transposed(x: jax.Array) -> jax.Array:
        return denoiser(x.swapaxes(1, 2), level).swapaxes(1, 2)

    return flip(jax.lax.cond(orientation & 1, transposed, upright, flip(x)))


class DPIR(Network):
    """Non-blind super-resolution by half-quadratic splitting around a denoiser.

    Attributes:
      denoiser: (images, noise level [B]) -> images. Either a module such as ``DRUNet``, whose parameters are stored
        under ``denoiser``, or a pure function.
      iterations: default T.
    """

    denoiser: typing.Any
    iterations: int = 24

    scales: typing.ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    blind: typing.ClassVar[bool] = False
    estimates_kernel: typing.ClassVar[bool] = False

    def example(self) -> dict[str, typing.Any]:
        """Return arguments of a call that creates the parameters."""
        return {"lr": jnp.zeros((1, 8, 8, 3), jnp.float32), "kernel": dirac(3)[None], "scale": 1}

    @nn.compact
    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array,
        scale: int,
        sigma: jax.Array | float = 0.0,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restore a batch. For the arguments see ``half_quadratic_splitting``."""
        kernel = jnp.broadcast_to(kernel, (lr.shape[0], *kernel.shape[1:]))
        if self.is_initializing():
            return SROutput(sr=self.denoiser(lr, jnp.zeros(lr.shape[0], lr.dtype)), kernel=kernel)
        count = iterations or self.iterations
        options = {"scale": scale, "sigma": sigma, "iterations": count, "trace": trace}
        sr, steps = half_quadratic_splitting(lr, kernel, self._pure_denoiser(), **options)
        return SROutput(sr=sr, kernel=kernel, trace=Trace(sr=steps) if trace else None)

    def _pure_denoiser(self) -> Denoiser:
        """Return the denoiser as a function that JAX loops can call."""
        if not isinstance(self.denoiser, nn.Module):
            return self.denoiser
        module, variables = self.denoiser.unbind()
        return lambda x, level: module.apply(variables, x, level)


def build_dpir(
    *,
    iterations: int = DPIR.iterations,
    denoiser: typing.Literal["drunet", "total_variation"] = "drunet",
    features: typing.Sequence[int] = DRUNet.features,
    blocks: int = DRUNet.blocks,
    bias: bool = DRUNet.bias,
) -> DPIR:
    """DPIR around DRUNet, or around total variation, which has no parameters.

    Args:
      iterations: T.
      denoiser: which of them.
      features, blocks, bias: of DRUNet.
    """
    if denoiser == "total_variation":
        return DPIR(total_variation_denoise, iterations)
    return DPIR(DRUNet(tuple(features), blocks, bias=bias), iterations)
