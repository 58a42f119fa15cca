"""Non-blind models: USRNet and DPIR, which restore images whose blur is known."""

from __future__ import annotations

import dataclasses
import typing

import jax
import numpy as np

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import DataError
from blindsr_jax.inference.inputs import checked_batch, checked_kernels, checked_sigma, memory_errors, one_for_each
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.network_with_weights import NetworkWithWeights
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.programs import Means, apply_solver
from blindsr_jax.inference.restore import RestoresImages
from blindsr_jax.inference.restorer import Border
from blindsr_jax.inference.tile_context import TileContext
from blindsr_jax.inference.tile_policy import Tile
from blindsr_jax.internal_learning.watching import Watch
from blindsr_jax.ops.arguments import traced
from blindsr_jax.ops.borders import wrap_smoothly
from blindsr_jax.types import SROutput

_SMALL_KERNEL = 63
_wrapped = jax.jit(wrap_smoothly, static_argnums=1)


def _upper_left(x: jax.Array, height: int, width: int) -> jax.Array:
    """The first rows and columns of images [..., H, W, C], by bounds that are no arrays on a device."""
    return jax.lax.slice_in_dim(jax.lax.slice_in_dim(x, 0, height, axis=-3), 0, width, axis=-2)


class Solver(NetworkWithWeights):
    """A non-blind model for all scales that its network supports.

    It assumes that LR images are made as in the non-blind literature: circular blur, then the upper-left pixel of each
    block.
    """

    def __repr__(self) -> str:
        return f"Solver({', '.join([self.network, *self.description])})"

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales that the network supports."""
        return self.module.scales

    def at_scale(self, scale: int, sigma: float = 0.0) -> AtScale:
        """Return the solver as a ``Restorer`` for photographs.

        Args:
          scale: s.
          sigma: noise level in [0, 1].

        Raises:
          DataError: the network does not support the scale.
        """
        self._check_scale(scale)
        return AtScale(self, scale, sigma)

    def with_kernel_window(self, side: int) -> typing.NoReturn:
        """Raise DataError, because a solver estimates no kernel."""
        raise DataError(f"{self.network} estimates no kernel: leave the window for it out")

    def with_seconds(self, seconds: float) -> Solver:
        """Raise DataError, because the solver learns nothing."""
        raise DataError(f"{self.network} does not learn from the picture: leave the seconds out; ZSSR does")

    def in_precision(self, precision: str) -> Solver:
        """Return the solver itself for float32. Raises DataError for any other precision."""
        if precision != "float32":
            raise DataError(f"{self.network} inverts a blur, for which it needs float32, not {precision}")
        return self

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
        """Restores a batch whose blur is known. Compiles once for each shape and scale.

        As ``Model``, it may be called below ``jit``, ``vmap`` and ``grad``: all but the scale, which decides about
        shapes, may be traced.

        Args:
          lr: [B, H, W, 3] in [0, 1], as of ``Model.__call__``.
          kernel: [B, K, K] or [K, K], odd K; a correlation kernel summing to one.
          scale: s.
          sigma: standard deviation of the noise, in [0, 1]; a number, or [B].
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
        self._check_scale(scale)
        sigma = checked_sigma(sigma, len(lr))
        _check_fits(kernels, lr, scale)
        options = {"scale": scale, "iterations": iterations, "trace": trace}
        arrays = lr, kernels, sigma
        with memory_errors(lr):
            arrays = arrays if traced(*arrays) else jax.device_put(arrays)
            output = checked(apply_solver, self.module, self.variables, *arrays, **options)
        return dataclasses.replace(output, lr=lr)

    def restore(
        self,
        image: np.ndarray,
        *,
        kernel: np.ndarray,
        scale: int,
        sigma: float = 0.0,
        iterations: int | None = None,
        tile: Tile = "auto",
        back_project: int = 0,
    ) -> np.ndarray:
        """Restore one image: see ``__call__``, and ``Model.restore`` for ``image``, ``tile`` and ``back_project``."""
        at_scale = self.at_scale(scale, sigma)
        return at_scale.restore(image, kernel=kernel, iterations=iterations, tile=tile, back_project=back_project)

    def _check_scale(self, scale: int) -> None:
        if traced(scale) or scale not in self.scales:
            raise DataError(f"{self.network} restores at scales {', '.join(map(str, self.scales))}, not {scale}")


def _check_fits(kernels: np.ndarray | jax.Array, lr: np.ndarray | jax.Array, scale: int) -> None:
    height, width = (scale * side for side in lr.shape[1:3])
    if kernels.shape[1] > min(height, width):
        raise DataError(
            f"a {kernels.shape[1]}x{kernels.shape[1]} kernel is larger than the restored image, {width}x{height} pixels"
        )


@dataclasses.dataclass(frozen=True)
class AtScale(RestoresImages):
    """A solver at one scale, for photographs: a ``Restorer`` that needs a kernel.

    Attributes:
      solver: the solver.
      scale: s.
      sigma: noise level in [0, 1].
      border: ``reflect`` for photographs, which do not wrap around as solvers assume: they are extended until they do,
        see ``wrap_smoothly``. ``circular`` for images that were made with circular blur.
    """

    solver: Solver
    scale: int
    sigma: float = 0.0
    border: Border = "reflect"

    restores: typing.ClassVar[bool] = True
    takes_kernel: typing.ClassVar[bool] = True
    estimates_kernel: typing.ClassVar[bool] = False
    kernel_space: typing.ClassVar[typing.Literal["hr"]] = "hr"
    needs_kernel: typing.ClassVar[bool] = True
    takes_sigma: typing.ClassVar[bool] = True
    takes_padding: typing.ClassVar[bool] = False
    unfolds: typing.ClassVar[bool] = False
    downsample: typing.ClassVar[Downsample] = "s_fold"
    kernel_size: typing.ClassVar[None] = None
    pca_basis: typing.ClassVar[None] = None
    estimator: typing.ClassVar[None] = None

    def __repr__(self) -> str:
        return f"{self.solver!r} at ×{self.scale}"

    @property
    def network(self) -> str:
        """Name of the solver's network."""
        return self.solver.network

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return self.solver.parameters

    @property
    def fingerprint(self) -> str:
        """The solver's fingerprint and the noise level."""
        return f"{self.solver.fingerprint}+sigma={self.sigma}"

    @property
    def iterations(self) -> int:
        """Default number of unfolded steps."""
        return self.solver.module.iterations

    @property
    def whole_only(self) -> str:
        """See ``Restorer``."""
        if self.border == "reflect":
            return ""
        return "tiles do not wrap around as the image does: restore it whole, or with border='reflect'"

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restores a batch.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: [B, K, K] or [K, K], of s-fold sampling.
          iterations, trace: see ``Solver.__call__``.
          image_only: leave the kernel out of the result.

        Returns:
          SROutput with the kernel that was given.

        Raises:
          DataError: shapes or values are not as above, or there is no kernel.
        """
        lr = checked_batch(lr, iterations)
        kernels = self._checked_kernels(lr, kernel)
        seen = lr
        if self.border == "reflect":
            seen = _wrapped(lr if traced(lr) else jax.device_put(lr), 2 * -(-kernels.shape[1] // self.scale))
        output = self.solver(
            seen, kernel=kernels, scale=self.scale, sigma=self.sigma, iterations=iterations, trace=trace
        )
        height, width = (self.scale * side for side in lr.shape[1:3])
        sr, steps = jax.tree.map(lambda x: _upper_left(x, height, width), (output.sr, output.trace))
        kernel = None if image_only else output.kernel
        return dataclasses.replace(output, sr=sr, trace=steps, kernel=kernel, lr=lr)

    def _checked_kernels(self, lr: np.ndarray | jax.Array, kernel: typing.Any) -> np.ndarray | jax.Array:
        """The given kernels, checked. Raises DataError if there is none, or if they are too large for small images."""
        if kernel is None:
            raise DataError(
                f"{self.network} needs the blur kernel: give one, or join the solver with an estimator "
                "(blindsr_jax.pipeline)"
            )
        kernels = checked_kernels(kernel)
        if kernels.shape[1] > _SMALL_KERNEL:  # small images are extended enough for small kernels
            _check_fits(kernels, lr, self.scale)
        return kernels

    def reported(self, images: jax.Array) -> jax.Array:
        """The images of a trace, unchanged."""
        return images

    def with_watch(self, watch: Watch) -> AtScale:
        """Return the solver itself: it learns nothing."""
        return self

    def with_seconds(self, seconds: float) -> AtScale:
        """See ``Solver.with_seconds``."""
        return dataclasses.replace(self, solver=self.solver.with_seconds(seconds))

    def with_sigma(self, sigma: float) -> AtScale:
        """Return a copy for another noise level in [0, 1]."""
        return dataclasses.replace(self, sigma=sigma)

    def with_border(self, border: Border) -> AtScale:
        """Return a copy for images that continue differently beyond their border."""
        return dataclasses.replace(self, border=border)

    def padded_to(self, shapes: typing.Sequence[tuple[int, int]]) -> typing.NoReturn:
        """Raise DataError, because the solver's FFT sees the whole image."""
        raise DataError(f"{self.network} needs images of their own size: it takes no padding")

    def shard_rows(self) -> typing.NoReturn:
        """Raise DataError, because the solver's FFT sees the whole image."""
        raise DataError(f"{self.network} sees whole images through an FFT: their rows cannot be shared")

    def estimate(self, pixels: Pixels, *, iterations: int | None = None, trace: bool = False) -> typing.NoReturn:
        """Raise DataError, because a solver estimates no kernel."""
        raise DataError(f"{self.network} estimates no kernel")

    def tile_context(self, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> TileContext:
        """The context of an image: its kernel, checked. Without a kernel, the first tile raises DataError."""
        return TileContext(None if kernel is None else checked_kernels(kernel)[:1], iterations=iterations)

    def restore_tiles(self, tiles: np.ndarray, context: TileContext, side: int) -> np.ndarray:
        """Restore tiles [B, h, w, 3] like whole images: [B, s·h, s·w, 3]."""
        return np.asarray(self(tiles, kernel=context.kernel, iterations=context.iterations).sr)

    def tile_means(self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int) -> Means:
        """Empty, because solvers have no channel attention."""
        return {}
