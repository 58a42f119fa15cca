"""Non-blind models: USRNet and DPIR restore when they are told the blur, and a kernel estimator can tell them."""

from __future__ import annotations

import dataclasses
import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import sampled_kernel
from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import DataError
from blindsr_jax.inference import restore
from blindsr_jax.inference.checks import checked_batch, checked_kernels, memory_errors, one_for_each
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.weighted import Weighted
from blindsr_jax.ops.borders import wrap_smoothly
from blindsr_jax.types import SROutput


@functools.partial(jax.jit, static_argnums=0, static_argnames=("scale", "iterations", "trace"))
def _apply(
    module: nn.Module,
    variables: dict[str, typing.Any],
    lr: jax.Array,
    kernel: jax.Array,
    sigma: jax.Array,
    *,
    scale: int,
    iterations: int | None,
    trace: bool,
) -> SROutput:
    options = {"scale": scale, "sigma": sigma, "iterations": iterations, "trace": trace}
    return module.apply(variables, lr, kernel=kernel, **options)


class Solver(Weighted):
    """A non-blind model, for any scale that its network knows.

    It takes LR images for what the non-blind literature makes them: circular blur, the upper-left pixel of each block.
    """

    def __repr__(self) -> str:
        return f"Solver({', '.join([type(self.module).__name__, *self.description])})"

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array,
        scale: int,
        sigma: float = 0.0,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restores a batch whose blur is known. Compiles once for each shape and scale.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: [B, K, K] or [K, K], odd K; a correlation kernel summing to one.
          scale: s.
          sigma: standard deviation of the noise, in [0, 1].
          iterations: unfolded steps; by default the network's own number.
          trace: also return every step.

        Returns:
          SROutput with the kernel that was given.

        Raises:
          DataError: shapes or values are not as above, the kernel is larger than the restored image, or the network
            does not know the scale.
        """
        lr = checked_batch(lr, iterations)
        kernels = one_for_each(checked_kernels(kernel), lr.shape[0])
        known = getattr(self.module, "scales", (1, 2, 3, 4))
        if scale not in known:
            raise DataError(
                f"{type(self.module).__name__} restores at scales {', '.join(map(str, known))}, not {scale}"
            )
        if not 0 <= sigma <= 1:
            raise DataError(f"sigma is the noise's standard deviation in [0, 1], got {sigma}: divide levels by 255")
        if kernels.shape[1] > scale * min(lr.shape[1:3]):
            raise DataError(
                f"a {kernels.shape[1]}x{kernels.shape[1]} kernel is larger than the restored image, "
                f"{scale * lr.shape[2]}x{scale * lr.shape[1]} pixels"
            )
        options = {"scale": scale, "iterations": iterations, "trace": trace}
        with memory_errors(lr):
            output = checked(_apply, self.module, self.variables, lr, kernels, jnp.float32(sigma), **options)
        return output.replace(lr=lr)

    def restore(
        self, image: np.ndarray, *, kernel: np.ndarray, scale: int, sigma: float = 0.0, iterations: int | None = None
    ) -> np.ndarray:
        """One image, s times larger, of the same kind; arguments as when called, images as of ``Model.restore``."""
        return restore.restore_image(
            Pipeline(None, self, scale, sigma), image, kernel=kernel, iterations=iterations
        ).image


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A kernel estimator and a solver that uses its kernels: a model like any other.

    Attributes:
      estimator: finds the kernel; None if one is given with every call.
      solver: restores.
      scale: s, the estimator's.
      sigma: noise level that the solver is told, in [0, 1].
      border: ``reflect`` for photographs, which do not wrap around as the solvers think: they are extended until they
        do, see ``wrap_smoothly``; ``circular`` for images that were made so.
    """

    estimator: Model | None
    solver: Solver
    scale: int
    sigma: float = 0.0
    border: typing.Literal["reflect", "circular"] = "reflect"
    takes_kernel: typing.ClassVar[bool] = True
    restores: typing.ClassVar[bool] = True
    takes_canvas: typing.ClassVar[bool] = False
    pca_basis: typing.ClassVar[None] = None

    def __repr__(self) -> str:
        return f"Pipeline({self.estimator}, {self.solver}, ×{self.scale})"

    @property
    def module(self) -> nn.Module:
        """The solver's network, which has the unfolded steps."""
        return self.solver.module

    @property
    def estimates_kernel(self) -> bool:
        """Whether it finds the kernel by itself."""
        return self.estimator is not None

    @property
    def needs_kernel(self) -> bool:
        """Whether it has to be told."""
        return self.estimator is None

    @property
    def downsample(self) -> Downsample:
        """The sampling that its kernels are about."""
        return self.estimator.downsample if self.estimator else "s_fold"

    @property
    def parameters(self) -> int:
        """Number of trained numbers, of both."""
        return self.solver.parameters + (self.estimator.parameters if self.estimator else 0)

    @property
    def fingerprint(self) -> str:
        """Of both."""
        parts = [self.estimator.fingerprint] if self.estimator else []
        return "+".join([*parts, self.solver.fingerprint, f"sigma={self.sigma}"])

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restores a batch.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: [B, K, K] or [K, K], in the place of the estimate.
          iterations, trace: of the solver.

        Returns:
          SROutput; its kernel is the estimated one, or the given one.

        Raises:
          DataError: shapes or values are not as above; or no kernel is given and there is no estimator.
        """
        if kernel is None:
            if self.estimator is None:
                raise DataError(
                    f"{type(self.module).__name__} has to be told the blur: give a kernel, or join it with an "
                    "estimator (blindsr_jax.pipeline)"
                )
            kernel = self.estimator(lr).kernel
        kernels = checked_kernels(kernel)
        told = kernels
        if self.downsample == "bicubic":
            told = np.stack([sampled_kernel(one, self.scale) for one in kernels])
        options = {"scale": self.scale, "sigma": self.sigma, "iterations": iterations, "trace": trace}
        if self.border == "circular":
            output = self.solver(lr, kernel=told, **options)
        else:
            reach = 2 * -(-told.shape[1] // self.scale)
            output = self.solver(wrap_smoothly(checked_batch(lr, None), reach), kernel=told, **options)
            height, width = (self.scale * side for side in lr.shape[1:3])
            cut = jax.tree.map(lambda x: x[..., :height, :width, :], (output.sr, output.trace))
            output = output.replace(sr=cut[0], trace=cut[1])
        return output.replace(kernel=one_for_each(kernels, output.sr.shape[0]), lr=lr)

    def restore(self, image: np.ndarray, **options: typing.Any) -> np.ndarray:
        """One image, s times larger, of the same kind; see ``Model.restore``."""
        return restore.restore_image(self, image, **options).image


def pipeline(estimator: Model, solver: Solver, *, sigma: float = 0.0) -> Pipeline:
    """Joins a kernel estimator with a non-blind solver (as KernelNet's paper does with USRNet and DPIR).

    The solvers are about s-fold sampling. The kernels of an estimator that was trained with bicubic downsampling, as
    DAN is, are converted: see ``degradations.sampled_kernel``.

    Args:
      estimator: a model that finds kernels: KernelNet or a DAN.
      solver: USRNet or DPIR.
      sigma: noise level that the solver is told, in [0, 1].

    Raises:
      DataError: the first finds no kernels, or the second is no solver.
    """
    if not isinstance(solver, Solver):
        raise DataError(f"{solver} is no non-blind solver: take USRNet or DPIR")
    if not isinstance(estimator, Model) or not estimator.estimates_kernel:
        raise DataError(f"{estimator} estimates no kernel: take KernelNet or a DAN")
    return Pipeline(estimator, solver, estimator.scale, sigma)
