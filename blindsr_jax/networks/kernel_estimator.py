"""Base of networks that estimate a kernel in one pass and restore no image."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.pools import POOL_SIZES
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks.network import Network
from blindsr_jax.types import SROutput, Trace


class Findings(typing.NamedTuple):
    """The intermediate results of a kernel estimator, by captions of a picture.

    Attributes:
      maps: signed values [B, H, W] of the LR image.
      lr_kernels: kernels of the LR image, [B, K', K'].
      kernels: kernels [B, K, K], the answer last.
    """

    maps: dict[str, jax.Array]
    lr_kernels: dict[str, jax.Array]
    kernels: dict[str, jax.Array]


class KernelEstimator(Network):
    """Base of networks that estimate the kernels of LR images made by s-fold sampling.

    A subclass defines ``kernel_steps``. ``Network`` lists the facts that it may state.

    Attributes:
      scale: s: 2, 3 or 4.
      kernel_size: K, odd; the default is the size of the kernels in the package's pool of the scale.

    Raises:
      ConfigError: the kernel size is even.
    """

    scale: typing.Literal[2, 3, 4]
    kernel_size: int | None = None

    restores: typing.ClassVar[bool] = False
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {
        "kernel": "pool",
        "downsample": "s_fold",
        "blur_mode": "circular",
    }

    def __post_init__(self) -> None:
        if self.kernel_size is None:
            self.kernel_size = POOL_SIZES[self.scale]
        if self.kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size of {type(self).__name__} must be odd, got {self.kernel_size}")
        super().__post_init__()

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """Estimate kernels [B, K, K] of LR images [B, H, W, 3] in [0, 1], from coarse to final."""
        raise NotImplementedError

    def findings(self, lr: jax.Array) -> Findings:
        """Return the intermediate results for LR images [B, H, W, 3], to look at."""
        *coarse, answer = self.kernel_steps(lr)
        return Findings({}, {}, {f"kernel {i}": x for i, x in enumerate(coarse, 1)} | {"kernel": answer})

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Estimate the kernel of each image.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel, iterations: arguments of other models; must be None here.
          trace: also return all kernels of ``kernel_steps``, such as KernelNet's coarse kernel.

        Returns:
          SROutput with ``sr=None``.

        Raises:
          TypeError: ``kernel`` or ``iterations`` is given.
        """
        if kernel is not None or iterations is not None:
            raise TypeError(f"{type(self).__name__} estimates a kernel in one pass: leave kernel and iterations out")
        steps = self.kernel_steps(lr)
        return SROutput(kernel=steps[-1], trace=Trace(kernel=jnp.stack(steps)) if trace else None)
