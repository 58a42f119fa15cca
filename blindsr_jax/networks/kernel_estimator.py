"""The base of networks that only estimate a kernel: they do it in one pass, and restore nothing."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.types import SROutput, Trace


class KernelEstimator(nn.Module):
    """Base of networks that estimate the kernels of LR images made by s-fold sampling.

    A subclass has ``kernel_steps``; its fields ``scale`` and ``kernel_size`` are s and K.

    Attributes:
      blind, restores, estimates_kernel, takes_bfloat16, takes_padding: see ``Unfolded``.
      downsample: the sampling that the kernels are about: the upper-left pixel of each s×s block.
    """

    blind: typing.ClassVar[bool] = True
    restores: typing.ClassVar[bool] = False
    estimates_kernel: typing.ClassVar[bool] = True
    takes_bfloat16: typing.ClassVar[bool] = False
    takes_padding: typing.ClassVar[bool] = False
    downsample: typing.ClassVar[str] = "s_fold"

    def example(self) -> dict[str, typing.Any]:
        """Arguments of a call that creates the parameters."""
        return {"lr": jnp.zeros((1, 8, 8, 3))}

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """The kernels [B, K, K] of LR images [B, H, W, 3] in [0, 1], the coarse ones first, the answer last."""
        raise NotImplementedError

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """The kernel of each image, in the form of all models.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel, iterations: of other models; here there is no use for a kernel, and nothing is repeated.
          trace: also return what comes before the answer, such as the coarse kernel of KernelNet, as steps.

        Returns:
          SROutput with ``sr=None``.

        Raises:
          TypeError: a kernel or a number of iterations was given.
        """
        if kernel is not None or iterations is not None:
            raise TypeError(f"{type(self).__name__} estimates a kernel in one pass: leave kernel and iterations out")
        steps = self.kernel_steps(lr)
        return SROutput(kernel=steps[-1], trace=Trace(kernel=jnp.stack(steps)) if trace else None)
