"""USRNet: deep unfolding network for non-blind super-resolution (Zhang et al., CVPR 2020)."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.errors import DataError
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import conv, torch_uniform
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.resunet import ResUNet, with_level
from blindsr_jax.networks.unfolded import unfold
from blindsr_jax.ops.fft import data_solution
from blindsr_jax.ops.resize import upsample_nearest
from blindsr_jax.types import Degraded, Estimate, SROutput, Trace


class HyPaNet(nn.Module):
    """The weights of all steps from noise level and scale (section 3.3): softplus of a small perceptron, plus 1e-6.

    Before training they rise with the noise level, from about 0.01 without noise to 0.7 at 0.1 (ours): noise levels are
    such small numbers that it takes long to learn to heed them.

    Attributes:
      iterations: n.
      features: channels of the two hidden layers (the authors' h).
      compute: see ``networks.compute``.
    """

    iterations: int
    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, sigma: jax.Array, scale: int) -> tuple[jax.Array, jax.Array]:
        """sigma [B] -> alpha [n, B], what the data steps get, and beta [n, B], what the priors get."""
        x = jnp.stack([sigma, jnp.full_like(sigma, scale)], axis=-1)[:, None, None, :]
        layer = functools.partial(conv, kernel=1, compute=self.compute)
        x = nn.relu(layer(self.features, kernel_init=_heeding_noise, name="fc1")(x))
        x = nn.relu(layer(self.features, kernel_init=_heeding_noise, name="fc2")(x))
        last = layer(2 * self.iterations, kernel_init=_heeding_noise_all, initial_bias=-5.0, name="fc3")
        x = nn.softplus(last(x)) + 1e-6
        alpha, beta = jnp.split(x[:, 0, 0, :].T, 2)
        return alpha, beta


def _heeding_noise(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, but the first channel out is four times the first in: at the start, the noise level."""
    return torch_uniform(key, shape, dtype).at[..., 0].set(0).at[..., 0, 0].set(4)


def _heeding_noise_all(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, but all channels out have three times the first in."""
    return torch_uniform(key, shape, dtype).at[..., 0, :].set(3)


class USRNet(Network):
    """Alternates the exact data step and one learned prior, n times; blur kernel, scale and noise level are given.

    One set of weights serves all scales. It expects what it was trained on: circular blur and the upper-left pixel of
    each block.

    Attributes:
      iterations: n.
      hyper_features: h, channels inside ``HyPaNet``.
      features, blocks: of the prior, see ``ResUNet``.
    """

    iterations: int = 8
    hyper_features: int = 64
    features: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2
    scales: typing.ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    validation_scales: typing.ClassVar[tuple[int, ...]] = (2, 3, 4)
    supervision: typing.ClassVar[str] = "image"
    blind: typing.ClassVar[bool] = False
    estimates_kernel: typing.ClassVar[bool] = False
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {
        "kernel": "pool",
        "downsample": "s_fold",
        "blur_mode": "circular",
    }

    def setup(self) -> None:
        self.hyper = HyPaNet(self.iterations, self.hyper_features, self.compute)
        self.prior = ResUNet(self.features, self.blocks, compute=self.compute)

    def example(self) -> dict[str, typing.Any]:
        """Arguments of a call that creates the parameters."""
        return {"lr": jnp.zeros((1, 8, 8, 3)), "kernel": dirac(3)[None], "scale": 1, "sigma": 0.0}

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
        """Restores a batch.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel: [B, K, K], or [1, K, K] for all images; a correlation kernel summing to one, odd K.
          scale: s, 1 to 4; static.
          sigma: standard deviation of the noise in [0, 1]; a number, or [B].
          iterations: unfolded steps T; the weights know n, so another number spreads their schedule over T steps.
          trace: also return every step.

        Returns:
          SROutput; its kernel is the given one.

        Raises:
          DataError: the scale is not one that the network knows.
          ValueError: the kernel is larger than the restored image, or not as above.
        """
        if scale not in self.scales:
            raise DataError(f"USRNet restores at scales {', '.join(map(str, self.scales))}, not {scale}")
        batch = lr.shape[0]
        kernel = jnp.broadcast_to(kernel, (batch, *kernel.shape[1:]))
        sigma = jnp.broadcast_to(jnp.asarray(sigma, lr.dtype), (batch,))
        count = iterations or self.iterations
        schedule = tuple(_spread(values, count) for values in self.hyper(sigma, scale))
        start = (upsample_nearest(lr, scale), kernel)
        if self.is_initializing():
            (sr, _), steps = self.step(start, lr, *(values[0] for values in schedule)), None
        else:
            (sr, _), steps = unfold(self, start, lr, count, keep=trace, schedule=schedule)
        return SROutput(sr=sr, kernel=kernel, trace=Trace(sr=steps.sr) if trace else None)

    def training_steps(
        self, lr: jax.Array, *, kernel: jax.Array, scale: int, sigma: jax.Array, gradient: str = "last"
    ) -> list[Estimate]:
        """The last step, which alone is supervised (section 4.1), with the gradient through all n.

        The steps are unrolled, as in ``Unfolded.training_steps``: XLA's CPU gradient of a convolution inside a loop is
        over twenty times slower. ``gradient`` has no meaning here.

        Args:
          lr, kernel, scale: as when called.
          sigma: [B].
        """
        state = (upsample_nearest(lr, scale), kernel)
        alpha, beta = self.hyper(sigma, scale)
        for i in range(self.iterations):
            state = self.step(state, lr, alpha[i], beta[i])
        return [self.estimate_of(state)]

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """The true image."""
        return Estimate(sr=hr)

    def step(
        self, state: tuple[jax.Array, jax.Array], lr: jax.Array, alpha: jax.Array, beta: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """(image, kernel) to the next: the data step weighs the image by alpha, the prior is told beta; [B] each."""
        x, kernel = state
        z = data_solution(x, lr, kernel, alpha, x.shape[1] // lr.shape[1])
        return self.prior(with_level(z, beta)), kernel

    def estimate_of(self, state: tuple[jax.Array, jax.Array]) -> Estimate:
        """The image."""
        return Estimate(sr=state[0])


def _spread(values: jax.Array, count: int) -> jax.Array:
    """A schedule [n, ...] of positive numbers over so many steps: its ends stay, between them logarithms are linear."""
    length = values.shape[0]
    if count == length:
        return values
    place = np.linspace(length - 1, 0, count)[::-1]  # a single step gets the last
    lower, upper = np.floor(place).astype(int), np.ceil(place).astype(int)
    weight = jnp.asarray(place - lower, values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return jnp.exp((1 - weight) * jnp.log(values[lower]) + weight * jnp.log(values[upper]))
