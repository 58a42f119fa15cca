"""DAN: deep alternating network (NeurIPS 2020; v2: arXiv 2105.06878).

This module is shared by both versions. They differ in their Restorer and Estimator, in ``dan_v1`` and ``dan_v2``.
"""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.degradations.pca import decode, encode
from blindsr_jax.networks.region import Region, accepts_region, optional
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.ops.blur import normalize_kernel
from blindsr_jax.types import Degraded, Estimate

Condition = typing.Literal["noise", "jpeg"]


class DAN(Unfolded):
    """Alternates a Restorer (image from kernel) and an Estimator (kernel from image) T times with shared parameters.

    The collection ``constants`` holds ``pca_basis`` [K², L], initialised to zeros.

    Attributes:
      restorer: (lr [B,H,W,3], code [B,L]) -> sr [B,sH,sW,3].
      estimator: (sr, lr) -> code [B,L], or the flat kernel [B,K²] if ``estimator.predicts == "kernel"``.
        If restorer and estimator have an argument ``region`` (of LR images), DAN accepts padded images; see
        ``networks.region``.
      scale: s.
      kernel_size: K.
      code_length: L.
      iterations: default T.
      conditions: names of the values that follow the L kernel values of a code: ``noise`` and ``jpeg``, see
        ``condition_values``. Estimator and Restorer use codes of length L + len(conditions).
    """

    restorer: nn.Module
    estimator: nn.Module
    scale: int
    kernel_size: int
    code_length: int
    iterations: int = 4
    conditions: tuple[Condition, ...] = ()
    optimizer_groups: typing.ClassVar[typing.Mapping[str, str]] = {"estimator": "estimator"}
    takes_bfloat16: typing.ClassVar[bool] = True

    def setup(self) -> None:
        shape = (self.kernel_size**2, self.code_length)
        self.pca_basis = self.variable("constants", "pca_basis", jnp.zeros, shape, jnp.float32)

    @property
    def code_basis_length(self) -> int:
        """L."""
        return self.code_length

    @property
    def full_code_length(self) -> int:
        """Length of the codes that Estimator and Restorer exchange: L plus one value for each condition."""
        return self.code_length + len(self.conditions)

    @property
    def supervision(self) -> typing.Literal["code", "kernel"]:
        """The quantity that the loss compares besides the image; see ``losses``."""
        return self.estimator.predicts

    @property
    def takes_padding(self) -> bool:
        """See ``Unfolded.takes_padding``. Restorer and Estimator must accept a region too."""
        return super().takes_padding and accepts_region(self.restorer) and accepts_region(self.estimator)

    def start(self, lr: jax.Array, *, region: Region | None = None) -> Estimate:
        """Start with a zero image and the Dirac kernel."""
        batch, height, width, _ = lr.shape
        kernel = dirac(self.kernel_size).astype(lr.dtype)
        code = self._code_of(kernel, jnp.zeros(len(self.conditions), lr.dtype))
        return Estimate(
            sr=jnp.zeros((batch, height * self.scale, width * self.scale, 3), lr.dtype),
            kernel=jnp.broadcast_to(kernel, (batch, *kernel.shape)),
            code=jnp.broadcast_to(code, (batch, *code.shape)),
        )

    def step(
        self, state: Estimate, lr: jax.Array, last: jax.Array | None = None, *, region: Region | None = None
    ) -> Estimate:
        """Run DAN's figure 1 once: restore with the current kernel, then estimate the kernel unless ``last`` is true.

        Both modules receive detached inputs, as in the authors' code.
        """
        sr = self.restorer(lr, jax.lax.stop_gradient(state.code), **optional(region))
        if last is None:
            return self._with_estimate(state, sr, lr, region)
        return nn.cond(
            last,
            lambda network, sr, lr, state: state._replace(sr=sr),
            lambda network, sr, lr, state: network._with_estimate(state, sr, lr, region),
            self,
            sr,
            lr,
            state,
        )

    def _with_estimate(self, state: Estimate, sr: jax.Array, lr: jax.Array, region: Region | None) -> Estimate:
        prediction = self.estimator(jax.lax.stop_gradient(sr), lr, **optional(region))
        basis = self.pca_basis.value
        if self.estimator.predicts == "kernel":
            kernel = prediction.reshape(-1, self.kernel_size, self.kernel_size)
            return Estimate(sr=sr, kernel=kernel, code=encode(kernel, basis))
        return Estimate(sr=sr, kernel=self._kernel_of(prediction), code=prediction)

    def with_kernel(self, lr: jax.Array, kernel: jax.Array, *, region: Region | None = None) -> Estimate:
        """Restore with a known kernel. With conditions, estimate them from a first restoration and restore again."""
        code = self._code_of(kernel, jnp.zeros((len(lr), len(self.conditions)), lr.dtype))
        if self.conditions:
            first = self.restorer(lr, code, **optional(region))
            found = self.estimator(first, lr, **optional(region))
            code = self._code_of(kernel, found[:, self.code_length :])
        return Estimate(sr=self.restorer(lr, code, **optional(region)), kernel=kernel, code=code)

    def with_code(self, lr: jax.Array, code: jax.Array, *, region: Region | None = None) -> Estimate:
        """Restore once with a known code."""
        return Estimate(sr=self.restorer(lr, code, **optional(region)), kernel=self._kernel_of(code), code=code)

    def _kernel_of(self, code: jax.Array) -> jax.Array:
        return normalize_kernel(decode(code[..., : self.code_length], self.pca_basis.value))

    def _code_of(self, kernel: jax.Array, conditions: jax.Array) -> jax.Array:
        """Encode kernels and append their conditions: [..., L + len(conditions)]."""
        return jnp.concatenate([encode(kernel, self.pca_basis.value), conditions], axis=-1)

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image, kernel and code."""
        code = self._code_of(degraded.kernel, condition_values(degraded, self.conditions))
        return Estimate(sr=hr, kernel=degraded.kernel, code=code)


def condition_values(degraded: Degraded, names: typing.Sequence[Condition]) -> jax.Array:
    """Return the noise and compression levels of images as values from 0 (none) to about 1.

    Args:
      degraded: a batch with its noise levels and JPEG qualities.
      names: conditions: ``noise`` is the standard deviation divided by 25/255; ``jpeg`` is (100 − quality) / 70.

    Returns:
      [B, len(names)].
    """
    values = [_CONDITIONS[name](degraded) for name in names]
    return jnp.stack(values, axis=-1) if values else jnp.zeros((len(degraded.lr), 0), degraded.lr.dtype)


_CONDITIONS: dict[Condition, typing.Callable[[Degraded], jax.Array]] = {
    "noise": lambda degraded: degraded.sigma * (255 / 25),
    "jpeg": lambda degraded: (100 - degraded.quality) / 70,
}
