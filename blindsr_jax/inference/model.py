"""``Model``: a network with its weights, ready to call."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import all_cores, tile_policy
from blindsr_jax.inference.blind_network import BlindNetwork
from blindsr_jax.inference.inputs import (
    checked_batch,
    checked_code,
    checked_kernels,
    fit_kernel,
    memory_errors,
    one_for_each,
)
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.padded_shapes import Size, cropped, padded, smallest, valid_size_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.pooled_context import pooled_context, pooled_means, restore_pooled
from blindsr_jax.inference.programs import Means, apply, found_in_pooled
from blindsr_jax.inference.restore import RestoresImages
from blindsr_jax.inference.restorer import Border
from blindsr_jax.inference.texture import most_textured, window_of
from blindsr_jax.inference.tile_context import (
    TileContext,
    context_of_patches,
    context_of_steps,
    restore_in_context,
    whole_windows,
)
from blindsr_jax.internal_learning.watching import Watch
from blindsr_jax.networks.compute import Precision, with_compute
from blindsr_jax.networks.region import Region
from blindsr_jax.ops.arguments import traced
from blindsr_jax.types import SROutput


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Model(BlindNetwork, RestoresImages):
    """A blind model of one scale: call it on a batch, or ``restore`` one image. A ``Restorer``.

    Attributes:
      module, variables, metadata: see ``NetworkWithWeights``; what kind of network it is: see ``BlindNetwork``.
      kernel_window: see ``with_kernel_window``.
      shapes: see ``padded_to``.
      rows: see ``shard_rows``.
    """

    kernel_window: int | None = None
    shapes: tuple[Size, ...] = ()
    rows: NamedSharding | None = None

    needs_kernel: typing.ClassVar[bool] = False
    takes_sigma: typing.ClassVar[bool] = False
    estimator: typing.ClassVar[None] = None
    border: typing.ClassVar[Border] = "reflect"

    def with_kernel_window(self, side: int) -> Model:
        """Return a copy that looks only at the most textured part of an image: faster and nearly as good.

        Args:
          side: side of that part in LR pixels; smaller images are used whole.

        Raises:
          DataError: the model restores images, so it needs all of their pixels; or ``side`` is less than 16.
        """
        if self.restores:
            raise DataError(f"{self.network} restores the image it looks at: it needs it whole")
        if side < 16:
            raise DataError(f"a kernel cannot be estimated from {side}x{side} pixels: take 16 or more")
        return dataclasses.replace(self, kernel_window=side)

    def padded_to(self, shapes: typing.Sequence[Size]) -> Model:
        """Return a copy that pads images to the smallest of these shapes that holds them.

        Images of many sizes then share a compiled program. The results are NumPy arrays and equal within the rounding
        of float32. Images that fit into no shape, or whose shape does not fit into memory, are not padded.
        ``restore.share_programs`` chooses shapes for a set of pictures.

        Args:
          shapes: heights and widths in LR pixels.

        Raises:
          DataError: the network does not support padding.
        """
        if not self.takes_padding:
            raise DataError(f"{self.network} needs images of their own size: it takes no padding")
        return dataclasses.replace(self, shapes=tuple(shapes))

    def in_precision(self, precision: Precision) -> Model:
        """Return a copy that computes in another type. Weights and results stay float32.

        Args:
          precision: ``float32``, or ``bfloat16`` for accelerators, see ``networks.compute``.

        Raises:
          DataError: the precision is unknown, or the network solves for a kernel or an image by an FFT, which loses
            too much accuracy in bfloat16.
        """
        known = typing.get_args(Precision)
        if precision not in known:
            raise DataError(f"there is no precision {precision!r}: take {' or '.join(known)}")
        if precision != "float32" and not self.module.takes_bfloat16:
            raise DataError(f"{self.network} computes in float32 only: DANs and DSSR take {precision}")
        return dataclasses.replace(self, module=with_compute(self.module, precision=precision))

    @property
    def precision(self) -> Precision:
        """See ``in_precision``."""
        return self.module.compute.precision

    def shard_rows(self, devices: typing.Sequence[jax.Device] | None = None) -> Model:
        """Return a copy that splits the rows of every image among devices, to restore large images whole.

        The results are equal within the rounding of float32. Images are not padded.

        Args:
          devices: the devices; by default all.

        Raises:
          DataError: the network sees the whole image through an FFT.
        """
        if not self.restores or self.module.through_fft:
            raise DataError(f"{self.network} sees whole images through an FFT: their rows cannot be shared")
        devices = np.array(jax.devices() if devices is None else devices)
        rows = NamedSharding(Mesh(devices, ("rows",)), PartitionSpec(None, "rows"))
        return dataclasses.replace(self, shapes=(), rows=rows)

    def within(self, window: int) -> Model:
        """The earlier name of ``with_kernel_window``."""
        return self.with_kernel_window(window)

    def on_canvases(self, canvases: typing.Sequence[Size]) -> Model:
        """The earlier name of ``padded_to``."""
        return self.padded_to(canvases)

    def spread(self, devices: typing.Sequence[jax.Device] | None = None) -> Model:
        """The earlier name of ``shard_rows``."""
        return self.shard_rows(devices)

    def with_sigma(self, sigma: float) -> Model:
        """Return the model itself for σ = 0. Raises DataError for another noise level, which the model cannot use."""
        if sigma:
            raise DataError(f"{self.network} takes no noise level; USRNet and DPIR do")
        return self

    def with_watch(self, watch: Watch) -> Model:
        """Return the model itself: it learns nothing."""
        return self

    def with_seconds(self, seconds: float) -> typing.NoReturn:
        """Raise DataError, because only a solver that learns has a limit of time."""
        raise DataError(f"{self.network} has no limit of time for learning: leave the seconds out; ZSSR has one")

    def with_border(self, border: Border) -> Model:
        """Return the model itself: it uses the same border for all images."""
        return self

    def at_scale(self, scale: int) -> Model:
        """Return the model itself. Raises DataError for any other scale."""
        if scale != self.scale:
            raise DataError(f"{self.network} works at scale {self.scale}, not {scale}")
        return self

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``NetworkWithWeights``; it also depends on the kernel window and the precision."""
        window = f", window {self.kernel_window}" if self.kernel_window else ""
        return super().fingerprint + window + (f", {self.precision}" if self.precision != "float32" else "")

    def __repr__(self) -> str:
        return f"Model({', '.join([f'{self.network} ×{self.scale}', *self.description])})"

    @property
    def takes_padding(self) -> bool:
        """Whether images may be padded: see ``padded_to``."""
        return self.module.takes_padding and self.rows is None

    @property
    def whole_only(self) -> str:
        """See ``Restorer``."""
        return "rows that devices share are those of whole images: leave tiles out" if self.rows is not None else ""

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        kernel_code: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restores a batch. Compiles once for each shape.

        It may be called below ``jit``, ``vmap`` and ``grad``: images, kernel and code may be traced, and are then only
        checked for their shapes.

        Args:
          lr: [B, H, W, 3] in [0, 1], floating point; computed in float32. Noise that was not clipped may leave that
            range by a half.
          kernel: the blur kernel if it is known, [B, K', K'] or [K', K'], odd K', summing to one; else it is estimated.
          kernel_code: instead of a kernel its code, [B, L], or [1, L] for all, as an earlier call returned it.
          iterations: unfolded steps T; by default as many as in training.
          trace: also return every step.
          image_only: leave the kernel out, and what only it needs, where the network can.

        Returns:
          SROutput.

        Raises:
          DataError: shapes or values are not as above.
        """
        lr = checked_batch(lr, iterations)
        given = self._known(len(lr), kernel, kernel_code)
        if iterations is not None and not self.unfolds:
            raise DataError(f"{self.network} works in one pass: leave the number of iterations out")
        alone = image_only and self.unfolds and self.estimates_kernel
        run = functools.partial(checked, apply, iterations=iterations, trace=trace, image_only=alone)
        if traced(lr, given, self.variables):
            return self._traced(run, lr, given)
        seen = most_textured(lr, self.kernel_window) if self.kernel_window else lr
        if self.rows is not None:
            return dataclasses.replace(self._on_devices(run, seen, given), lr=lr)
        module, variables, shape = self.module, self.variables, smallest(self.shapes, seen.shape[1:3])
        shared = all_cores.share(module, shape or seen.shape[1:3])
        if shared:
            module, variables = all_cores.on_all_cores(module, variables)
            even = all_cores.even_shape(shape or seen.shape[1:3])
            shape = None if even == seen.shape[1:3] else even
        where = all_cores.everywhere() if shared else None

        def placed(*arrays: typing.Any) -> SROutput:
            return run(module, variables, *jax.device_put(arrays, where))

        if shape is not None:
            try:
                return dataclasses.replace(self._padded(placed, shape, seen, given), lr=lr)
            except OutOfMemory:
                pass  # at its own size it may fit
        with memory_errors(seen):
            output = placed(seen, given)
        return dataclasses.replace(jax.device_get(output) if shared else output, lr=lr)

    def _traced(self, run: typing.Callable[..., SROutput], lr: jax.Array, given: dict[str, typing.Any]) -> SROutput:
        """A call below ``jit`` or ``grad``: an image's size is known there, so nothing is padded."""
        if self.kernel_window:
            raise DataError("the most textured part of an image is not known under jit: leave the window out there")
        return dataclasses.replace(run(self.module, self.variables, lr, given, rows=self.rows), lr=lr)

    def _padded(
        self, run: typing.Callable[..., SROutput], shape: Size, lr: np.ndarray, given: dict[str, np.ndarray]
    ) -> SROutput:
        images = padded(shape, lr)
        with memory_errors(images):
            output = jax.device_get(run(images, given | {"region": Region(valid_size_of(lr))}))
        return cropped(output, *(self.scale * side for side in lr.shape[1:3]))

    def _on_devices(
        self, run: typing.Callable[..., SROutput], lr: np.ndarray, given: dict[str, np.ndarray]
    ) -> SROutput:
        everywhere = NamedSharding(self.rows.mesh, PartitionSpec())
        with memory_errors(lr):
            return jax.device_get(
                run(self.module, *jax.device_put((self.variables, lr, given), everywhere), rows=self.rows)
            )

    def _known(self, count: int, kernel: typing.Any, code: typing.Any) -> dict[str, np.ndarray]:
        """A given kernel or code of so many images, checked."""
        if kernel is None and code is None:
            return {}
        if self.kernel_space == "lr":
            raise DataError(f"{self.network} finds the kernel of the LR image, no kernel of the HR image: leave it out")
        if not self.takes_kernel:
            raise DataError(f"{self.network} does not use a kernel; leave it out")
        if kernel is not None and code is not None:
            raise DataError("give a kernel or its code, not both")
        if kernel is not None:
            return {"kernel": one_for_each(fit_kernel(kernel, self.module.kernel_size), count)}
        return {"kernel_code": checked_code(code, count, self.module.full_code_length)}

    def estimate(self, pixels: Pixels, *, iterations: int | None = None, trace: bool = False) -> SROutput:
        """Estimate the kernel of one image of any size; a DAN and DCLS estimate it as for the image's tiles.

        Another network looks at images of up to 2²⁰ pixels whole if they fit into memory, and otherwise at their most
        textured part.

        Args:
          pixels: the image.
          iterations, trace: see ``__call__``.
        """
        if self.module.poolings:
            pooled = pooled_means(self.module, self.variables, pixels)
            kernel, code = found_in_pooled(self.module, self.variables, pooled)
            return SROutput(kernel=kernel, kernel_code=code)
        if self.restores and self.takes_padding and (self.takes_kernel or not self.estimates_kernel):
            context = self.tile_context(pixels, kernel=None, iterations=iterations)
            return SROutput(kernel=context.kernel, kernel_code=context.kernel_code)
        if math.prod(pixels.size) <= tile_policy.WHOLE:
            try:
                return self(pixels.rgb()[None], iterations=iterations, trace=trace)
            except OutOfMemory:
                pass
        side = self.kernel_window or tile_policy.KERNEL_WINDOW
        part = window_of(pixels.size, lambda rows: pixels.rgb(rows), side)
        return self(pixels.rgb(*part)[None], iterations=iterations, trace=trace)

    def tile_context(self, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> TileContext:
        """Compute the context that the tiles of an image share: its kernel, and the means of attention where it is.

        Args:
          pixels: the image.
          kernel, iterations: see ``__call__``.

        Raises:
          DataError: the kernel is invalid or too wide.
          OutOfMemory: not even one patch of the image fits into memory.
        """
        if not self.takes_kernel:
            self._known(1, kernel, None)  # raises if there is one
            if self.module.poolings:
                return pooled_context(self.module, self.variables, pixels)
            if self.module.shares_code:
                return context_of_steps(self.module, self.variables, pixels, iterations=iterations)
            return TileContext(iterations=iterations)
        if not self.takes_padding:
            kernel = self.estimate(pixels, iterations=iterations).kernel if kernel is None else kernel
            return TileContext(kernel=checked_kernels(kernel)[:1])
        known = None if kernel is None else fit_kernel(kernel, self.module.kernel_size)[:1]
        return context_of_patches(self.module, self.variables, pixels, kernel=known, iterations=iterations)

    def restore_tiles(self, tiles: np.ndarray, context: TileContext, side: int) -> np.ndarray:
        """Restore tiles [B, h, w, 3] of one image, padded to ``side`` by ``side`` pixels: [B, s·h, s·w, 3]."""
        if context.last_code is not None or context.pooled:
            return self._in_context(tiles, whole_windows(tiles), context, side)[0]
        model = self.padded_to([(side, side)]) if self.takes_padding else self
        output = model(tiles, kernel=context.kernel, iterations=context.iterations, image_only=True)
        return np.asarray(output.sr)

    def tile_means(self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int) -> Means:
        """Measure channel attention's means in windows [B, 4] of tiles."""
        return self._in_context(tiles, windows, context, side)[1]

    def _in_context(
        self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int
    ) -> tuple[np.ndarray, Means]:
        if context.pooled:
            return restore_pooled(self.module, self.variables, tiles, windows, context)
        return restore_in_context(self.module, self.variables, tiles, windows, context, side=side)
