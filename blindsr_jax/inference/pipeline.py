"""``Pipeline``: a kernel estimator joined with a non-blind solver; it behaves like any other model."""

from __future__ import annotations

import dataclasses
import typing

import jax
import numpy as np

from blindsr_jax.degradations.kernels import bicubic_equivalent_kernel
from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import DataError
from blindsr_jax.inference.inputs import checked_batch, checked_kernels, one_for_each
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.programs import Means
from blindsr_jax.inference.restore import RestoresImages
from blindsr_jax.inference.restorer import Border
from blindsr_jax.inference.solver import AtScale, Solver
from blindsr_jax.inference.tile_context import TileContext
from blindsr_jax.internal_learning.watching import Watch
from blindsr_jax.types import SROutput


@dataclasses.dataclass(frozen=True)
class Pipeline(RestoresImages):
    """A kernel estimator and a solver that uses its kernels. A ``Restorer``.

    Attributes:
      estimator: the model that estimates the kernel.
      solver: the solver that restores, at the estimator's scale.
    """

    estimator: Model
    solver: AtScale

    restores: typing.ClassVar[bool] = True
    takes_kernel: typing.ClassVar[bool] = True
    estimates_kernel: typing.ClassVar[bool] = True
    kernel_space: typing.ClassVar[typing.Literal["hr"]] = "hr"
    needs_kernel: typing.ClassVar[bool] = False
    takes_sigma: typing.ClassVar[bool] = True
    takes_padding: typing.ClassVar[bool] = False
    unfolds: typing.ClassVar[bool] = False
    pca_basis: typing.ClassVar[None] = None

    def __repr__(self) -> str:
        return f"Pipeline({self.estimator!r}, {self.solver!r})"

    @property
    def scale(self) -> int:
        """s."""
        return self.solver.scale

    @property
    def scales(self) -> tuple[int, ...]:
        """Its one scale."""
        return (self.scale,)

    @property
    def network(self) -> str:
        """Name of the solver's network."""
        return self.solver.network

    @property
    def iterations(self) -> int:
        """Default number of the solver's unfolded steps."""
        return self.solver.iterations

    @property
    def whole_only(self) -> str:
        """The solver's reason: see ``Restorer``."""
        return self.solver.whole_only

    @property
    def border(self) -> Border:
        """The solver's: see ``AtScale``."""
        return self.solver.border

    @property
    def downsample(self) -> Downsample:
        """The downsampling that its kernels assume: the estimator's."""
        return self.estimator.downsample

    @property
    def kernel_size(self) -> int | None:
        """K of the estimator's kernels."""
        return self.estimator.kernel_size

    @property
    def parameters(self) -> int:
        """Number of trained parameters of both networks."""
        return self.solver.parameters + self.estimator.parameters

    @property
    def fingerprint(self) -> str:
        """The fingerprints of estimator and solver, joined."""
        return f"{self.estimator.fingerprint}+{self.solver.fingerprint}"

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restore a batch.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: [B, K, K] or [K, K], used instead of an estimate; it assumes the estimator's downsampling.
          iterations, trace: see ``Solver.__call__``.
          image_only: leave the kernel out of the result.

        Returns:
          SROutput with the estimated or given kernel.

        Raises:
          DataError: shapes or values are not as above.
        """
        lr = checked_batch(lr, iterations)
        kernels = checked_kernels(self.estimator(lr).kernel if kernel is None else kernel)
        output = self.solver(lr, kernel=self._for_solver(kernels), iterations=iterations, trace=trace)
        seen = None if image_only else one_for_each(kernels, lr.shape[0])
        return dataclasses.replace(output, kernel=seen, lr=lr)

    def _for_solver(self, kernels: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
        """Convert kernels for the estimator's downsampling to kernels for s-fold sampling, which the solver assumes."""
        return kernels if self.downsample == "s_fold" else bicubic_equivalent_kernel(kernels, self.scale)

    def reported(self, images: jax.Array) -> jax.Array:
        """The images of a trace, unchanged."""
        return images

    def at_scale(self, scale: int) -> Pipeline:
        """Return the pipeline itself. Raises DataError for any other scale."""
        if scale != self.scale:
            raise DataError(f"{self.estimator.network} works at scale {self.scale}, not {scale}")
        return self

    def with_sigma(self, sigma: float) -> Pipeline:
        """Return a copy for another noise level in [0, 1]."""
        return dataclasses.replace(self, solver=self.solver.with_sigma(sigma))

    def with_watch(self, watch: Watch) -> Pipeline:
        """Return a copy whose models, if they learn, tell how far they are."""
        return dataclasses.replace(
            self, estimator=self.estimator.with_watch(watch), solver=self.solver.with_watch(watch)
        )

    def with_seconds(self, seconds: float) -> Pipeline:
        """Return a copy whose solver learns for at most so long. Raises DataError if it does not learn."""
        return dataclasses.replace(self, solver=self.solver.with_seconds(seconds))

    def with_border(self, border: Border) -> Pipeline:
        """Return a copy for images that continue differently beyond their border: see ``AtScale``."""
        return dataclasses.replace(self, solver=self.solver.with_border(border))

    def with_kernel_window(self, side: int) -> Pipeline:
        """Return a copy whose estimator looks at a part of the image: see ``Model.with_kernel_window``."""
        return dataclasses.replace(self, estimator=self.estimator.with_kernel_window(side))

    def in_precision(self, precision: str) -> Pipeline:
        """Return the pipeline itself for float32. Raises DataError for any other precision."""
        self.solver.solver.in_precision(precision)
        return self

    def padded_to(self, shapes: typing.Sequence[tuple[int, int]]) -> typing.NoReturn:
        """Raise DataError, because the solver's FFT sees the whole image."""
        self.solver.padded_to(shapes)

    def shard_rows(self) -> typing.NoReturn:
        """Raise DataError, because the solver's FFT sees the whole image."""
        self.solver.shard_rows()

    def estimate(self, pixels: Pixels, *, iterations: int | None = None, trace: bool = False) -> SROutput:
        """Estimate the kernel of one image of any size. ``iterations`` belongs to the solver and is not used."""
        return self.estimator.estimate(pixels, trace=trace)

    def tile_context(self, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> TileContext:
        """The context of an image: its given or estimated kernel."""
        kernel = self.estimator.estimate(pixels).kernel if kernel is None else kernel
        return TileContext(checked_kernels(kernel)[:1], iterations=iterations)

    def restore_tiles(self, tiles: np.ndarray, context: TileContext, side: int) -> np.ndarray:
        """Restore tiles [B, h, w, 3] like whole images: [B, s·h, s·w, 3]."""
        return np.asarray(self(tiles, kernel=context.kernel, iterations=context.iterations).sr)

    def tile_means(self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int) -> Means:
        """Empty, because solvers have no channel attention."""
        return {}


def pipeline(estimator: Model, solver: Solver, *, sigma: float = 0.0) -> Pipeline:
    """Join a kernel estimator with a non-blind solver (as KernelNet's paper does with USRNet and DPIR).

    The solvers assume s-fold sampling. The kernels of an estimator that was trained with bicubic downsampling, such as
    a DAN, are converted: see ``degradations.bicubic_equivalent_kernel``.

    Args:
      estimator: a model that estimates kernels: KernelNet, KernelGAN or a DAN.
      solver: USRNet, DPIR or ZSSR.
      sigma: noise level for the solver, in [0, 1].

    Raises:
      DataError: ``estimator`` estimates no kernels of HR images, ``solver`` is not a solver, or it does not support the
        scale.
    """
    if not isinstance(solver, Solver):
        raise DataError(f"{solver} is no non-blind solver: take USRNet, DPIR or ZSSR")
    if not isinstance(estimator, Model) or not estimator.estimates_kernel:
        raise DataError(f"{estimator} estimates no kernel: take KernelNet, KernelGAN or a DAN")
    if estimator.kernel_space != "hr":
        raise DataError(f"{estimator} finds kernels of LR images, which no solver uses: take KernelNet or a DAN")
    return Pipeline(estimator, solver.at_scale(estimator.scale, sigma))
