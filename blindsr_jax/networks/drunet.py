"""DRUNet: a denoiser for a given noise level (Zhang et al., DPIR, TPAMI 2021, section 3)."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.networks.network import Network
from blindsr_jax.networks.resunet import ResUNet, with_level


class DRUNet(Network):
    """Removes white Gaussian noise of known level: a ResUNet with the level as an additional input channel.

    Attributes:
      features, blocks, bias: see ``ResUNet``.
      channels: number of image channels, 3 or 1.
    """

    features: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 4
    channels: int = 3
    bias: bool = False

    blind: typing.ClassVar[bool] = False
    denoises: typing.ClassVar[bool] = True
    estimates_kernel: typing.ClassVar[bool] = False

    def setup(self) -> None:
        self.unet = ResUNet(self.features, self.blocks, self.channels, self.bias, self.compute)

    def example(self) -> dict[str, typing.Any]:
        """Return arguments of a call that creates the parameters."""
        return {"x": jnp.zeros((1, 8, 8, self.channels), jnp.float32), "sigma": 0.0}

    def __call__(self, x: jax.Array, sigma: jax.Array | float) -> jax.Array:
        """Denoise a batch.

        Args:
          x: [B, H, W, C], nominal range [0, 1].
          sigma: standard deviation of the noise on the same scale; a number, or [B].

        Returns:
          [B, H, W, C], not clipped.
        """
        return self.unet(with_level(x, sigma))
