"""DAN: deep alternating network (NeurIPS 2020; v2: arXiv 2105.06878).

The two versions share the unfolded loop and the supervision below; they differ in their Restorer and Estimator, which
stand in ``dan_v1`` and ``dan_v2``.
"""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.kernels import dirac, normalize_kernel
from blindsr_jax.degradations.pca import decode, encode
from blindsr_jax.types import Estimate, SROutput, Trace

Gradient = typing.Literal["last", "all"]


class DAN(nn.Module):
    """Alternates a Restorer (image from kernel) and an Estimator (kernel from image), T times, parameters shared.

    The collection ``constants`` holds ``pca_basis`` [K², L], zeros until it is set.

    Attributes:
      restorer: (lr [B,H,W,3], code [B,L]) -> sr [B,sH,sW,3].
      estimator: (sr, lr) -> code [B,L], or the flat kernel [B,K²] if ``estimator.predicts == "kernel"``.
      scale: s.
      kernel_size: K.
      code_length: L.
      iterations: T when a call does not say.
    """

    restorer: nn.Module
    estimator: nn.Module
    scale: int
    kernel_size: int
    code_length: int
    iterations: int = 4

    def setup(self) -> None:
        shape = (self.kernel_size**2, self.code_length)
        self.pca_basis = self.variable("constants", "pca_basis", jnp.zeros, shape)

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restores a batch; no gradient is needed, so all T steps run in one compiled loop.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel: [B, K, K]; if given, the Restorer runs once with it and nothing is estimated (DAN's table 3).
          iterations: T.
          trace: also return every step.

        Returns:
          SROutput; ``kernel`` is normalised to sum one.
        """
        if self.is_initializing():
            return _output(self._step(self._start(lr), lr))
        if kernel is not None:
            code = encode(kernel, self.pca_basis.value)
            estimate = Estimate(self.restorer(lr, code), kernel, code)
            return _output(estimate, jax.tree.map(lambda x: x[None], estimate) if trace else None)
        estimate, steps = self._unfold(self._start(lr), lr, iterations or self.iterations, keep=trace)
        return _output(estimate, steps)

    def training_steps(self, lr: jax.Array, *, gradient: Gradient = "last") -> list[Estimate]:
        """The steps that a loss supervises, differentiable with respect to the parameters.

        Both modules see their inputs detached (as the authors' code does), so the loss of the last step depends on
        the parameters through that step alone: with ``gradient="last"`` the T − 1 steps before it run in the same
        compiled loop as at test time, on stopped parameters, and store nothing for the backward pass. With ``"all"``
        every step is supervised and each is unrolled, since XLA's CPU gradient of a convolution inside a loop is
        over twenty times slower (jax-ml/jax#12868).

        Args:
          lr: [B, H, W, 3].
          gradient: ``last`` or ``all``.

        Returns:
          The last step, or all T.
        """
        estimate = self._start(lr)
        if gradient == "all":
            steps = []
            for _ in range(self.iterations):
                estimate = self._step(jax.lax.stop_gradient(estimate), lr)
                steps.append(estimate)
            return steps
        if self.iterations > 1:
            without_gradient = nn.map_variables(
                lambda dan, start, lr: dan._unfold(start, lr, self.iterations - 1)[0],
                "params",
                trans_in_fn=jax.lax.stop_gradient,
            )
            estimate = without_gradient(self, estimate, lr)
        return [self._step(jax.lax.stop_gradient(estimate), lr)]

    def _start(self, lr: jax.Array) -> Estimate:
        """Before the first step: no image yet, and the Dirac kernel."""
        batch, height, width, _ = lr.shape
        kernel = dirac(self.kernel_size).astype(lr.dtype)
        code = encode(kernel, self.pca_basis.value)
        return Estimate(
            jnp.zeros((batch, height * self.scale, width * self.scale, 3), lr.dtype),
            jnp.broadcast_to(kernel, (batch, *kernel.shape)),
            jnp.broadcast_to(code, (batch, *code.shape)),
        )

    def _step(self, previous: Estimate, lr: jax.Array) -> Estimate:
        """DAN's figure 1, once: the image from the last kernel, then the kernel from that image."""
        sr = self.restorer(lr, jax.lax.stop_gradient(previous.code))
        prediction = self.estimator(jax.lax.stop_gradient(sr), lr)
        basis = self.pca_basis.value
        if self.estimator.predicts == "kernel":
            kernel = prediction.reshape(-1, self.kernel_size, self.kernel_size)
            return Estimate(sr, kernel, encode(kernel, basis))
        return Estimate(sr, normalize_kernel(decode(prediction, basis)), prediction)

    def _unfold(
        self, start: Estimate, lr: jax.Array, steps: int, keep: bool = False
    ) -> tuple[Estimate, Estimate | None]:
        """``steps`` alternations in one scan: the last estimate, and all of them stacked if ``keep``."""

        def body(dan: DAN, estimate: Estimate, lr: jax.Array) -> tuple[Estimate, Estimate | None]:
            estimate = dan._step(estimate, lr)
            return estimate, estimate if keep else None

        scan = nn.scan(
            body,
            variable_broadcast=["params", "constants"],
            split_rngs={"params": False},
            in_axes=nn.broadcast,
            length=steps,
        )
        return scan(self, start, lr)


def _output(estimate: Estimate, steps: Estimate | None = None) -> SROutput:
    trace = None if steps is None else Trace(sr=steps.sr, kernel=steps.kernel, kernel_code=steps.code)
    return SROutput(sr=estimate.sr, kernel=estimate.kernel, kernel_code=estimate.code, trace=trace)
