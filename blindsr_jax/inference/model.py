"""``Model``: a network with its weights, ready to call."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import restore
from blindsr_jax.inference.apply import apply
from blindsr_jax.inference.canvases import Size, cut, padded, smallest, valid_size_of
from blindsr_jax.inference.checks import checked_batch, fit_kernel, memory_errors, one_for_each
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.texture import most_textured
from blindsr_jax.inference.weighted import Weighted
from blindsr_jax.networks.compute import Compute, Precision, with_compute
from blindsr_jax.networks.region import Region
from blindsr_jax.types import SROutput


class Model(Weighted):
    """A blind model of one scale: call it on a batch, or ``restore`` one image.

    Attributes:
      scale: s.
      window: see ``within``.
      canvases: see ``on_canvases``.
      rows: see ``spread``.
      needs_kernel: whether it has to be told the blur.
    """

    needs_kernel: typing.ClassVar[bool] = False

    def __init__(
        self, module: nn.Module, variables: dict[str, typing.Any], metadata: dict[str, typing.Any] | None = None
    ):
        super().__init__(module, variables, metadata)
        self.scale: int = module.scale
        self.window: int | None = None
        self.canvases: tuple[Size, ...] = ()
        self.rows: NamedSharding | None = None

    def _but(self, **choices: typing.Any) -> Model:
        """The same model with other attributes."""
        model = Model(choices.pop("module", self.module), self.variables, self.metadata)
        for name in ("window", "canvases", "rows"):
            setattr(model, name, choices.get(name, getattr(self, name)))
        return model

    def within(self, window: int) -> Model:
        """The same model, looking only at the most textured part of an image, which is faster and nearly as good.

        Args:
          window: side of that part in LR pixels; smaller images are seen whole.

        Raises:
          DataError: the model restores images, for which it needs them whole; or the window has fewer than 16 pixels.
        """
        if self.restores:
            raise DataError(f"{type(self.module).__name__} restores the image it looks at: it needs it whole")
        if window < 16:
            raise DataError(f"a kernel cannot be estimated from {window}x{window} pixels: take 16 or more")
        return self._but(window=window)

    def on_canvases(self, canvases: typing.Sequence[Size]) -> Model:
        """The same model, which computes images on the smallest canvas that holds them.

        The results are the same within float32's rounding, as NumPy arrays, and images of many sizes share a compiled
        program. Images that fit on no canvas are computed as they are; ``inference.canvases`` knows which are wanted.

        Args:
          canvases: heights and widths in LR pixels.

        Raises:
          DataError: the network needs images of their own size.
        """
        if not self.takes_canvas:
            raise DataError(f"{type(self.module).__name__} needs images of their own size: it takes no canvas")
        return self._but(canvases=tuple(canvases))

    def in_precision(self, precision: Precision) -> Model:
        """The same model, computing in another type: its weights and results are float32 in any case.

        Args:
          precision: ``float32``, or ``bfloat16``, which is for accelerators, see ``networks.compute``.

        Raises:
          DataError: there is no such precision, or the network solves for a kernel or an image by an FFT, which loses
            too much by it.
        """
        known = typing.get_args(Precision)
        if precision not in known:
            raise DataError(f"there is no precision {precision!r}: take {' or '.join(known)}")
        if precision != "float32" and not self.module.takes_bfloat16:
            raise DataError(f"{type(self.module).__name__} computes in float32 only: DANs and DSSR take {precision}")
        return self._but(module=with_compute(self.module, precision=precision))

    @property
    def precision(self) -> Precision:
        """See ``in_precision``."""
        return getattr(self.module, "compute", Compute()).precision

    def spread(self, devices: typing.Sequence[jax.Device] | None = None) -> Model:
        """The same model, each device computing some of the rows of every image; for large ones, restored whole.

        The results are the same within float32's rounding. It uses no canvas.

        Args:
          devices: by default all.

        Raises:
          DataError: the network sees the whole image through an FFT.
        """
        if not self.restores:
            raise DataError(f"{type(self.module).__name__} sees whole images through an FFT: they cannot be spread")
        devices = np.array(jax.devices() if devices is None else devices)
        return self._but(canvases=(), rows=NamedSharding(Mesh(devices, ("rows",)), PartitionSpec(None, "rows")))

    @functools.cached_property
    def fingerprint(self) -> str:
        """As of ``Weighted``; another one for each window and each precision."""
        window = f", window {self.window}" if self.window else ""
        return super().fingerprint + window + (f", {self.precision}" if self.precision != "float32" else "")

    def __repr__(self) -> str:
        return f"Model({', '.join([f'{type(self.module).__name__} ×{self.scale}', *self.description])})"

    @property
    def takes_kernel(self) -> bool:
        """Whether a known kernel can be given."""
        return self.pca_basis is not None

    @property
    def estimates_kernel(self) -> bool:
        """Whether it finds one by itself."""
        return self.module.estimates_kernel

    @property
    def downsample(self) -> Downsample:
        """The sampling that its kernels are about: what it was trained with, bicubic for the authors' weights."""
        if not self.module.restores:
            return self.module.downsample
        recipe = self.metadata.get("source", {}).get("config", {})
        return recipe.get("degradation", {}).get("downsample", "bicubic")

    @property
    def restores(self) -> bool:
        """Whether images come out; some models estimate kernels only."""
        return self.module.restores

    @property
    def takes_canvas(self) -> bool:
        """Whether images may be padded: see ``Unfolded.takes_padding``."""
        return self.module.takes_padding

    @property
    def pca_basis(self) -> np.ndarray | None:
        """[K², L], what kernel codes are relative to; None for networks without such codes."""
        basis = self.variables["constants"].get("pca_basis")
        return None if basis is None else np.asarray(basis)

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
        """Restores a batch. Compiles once for each shape, or canvas.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: the blur kernel if it is known, [B, K', K'] or [K', K'], odd K', summing to one; else it is estimated.
          kernel_code: instead of a kernel its code, [B, L], or [1, L] for all, as an earlier call returned it.
          iterations: unfolded steps T; by default as many as in training.
          trace: also return every step.
          image_only: leave the kernel out, and what only it needs.

        Returns:
          SROutput.

        Raises:
          DataError: shapes or values are not as above.
        """
        lr = checked_batch(lr, iterations)
        given = self._known(lr, kernel, kernel_code)
        if iterations is not None and not self.restores:
            raise DataError(
                f"{type(self.module).__name__} estimates a kernel in one pass: leave the number of iterations out"
            )
        options = {"iterations": iterations, "trace": trace, "image_only": image_only and self.restores}
        seen = most_textured(lr, self.window) if self.window else lr
        return self._computed(seen, given, options).replace(lr=lr)

    def _computed(
        self, lr: np.ndarray | jax.Array, given: dict[str, np.ndarray], options: dict[str, typing.Any]
    ) -> SROutput:
        """The output of the network; on all devices, or on a canvas, if so chosen and if there is memory for it."""
        if self.rows is not None:
            with memory_errors(lr):
                return self._on_devices(lr, given, options)
        while True:
            images, region = self.placed(lr)
            try:
                with memory_errors(images):
                    output = checked(apply, self.module, self.variables, images, given | region, **options)
                    return self._taken_back(output, lr) if region else output
            except OutOfMemory:
                if not region:
                    raise
                height, width = images.shape[1:3]  # nor is there memory for the next image on it, or on larger ones
                self.canvases = tuple(other for other in self.canvases if other[0] * other[1] < height * width)

    def _taken_back(self, output: SROutput, lr: np.ndarray | jax.Array) -> SROutput:
        """What was computed on a canvas, of the images' size."""
        return cut(jax.device_get(output), *(self.scale * side for side in lr.shape[1:3]))

    def _on_devices(
        self, lr: np.ndarray | jax.Array, given: dict[str, np.ndarray], options: dict[str, typing.Any]
    ) -> SROutput:
        everywhere = NamedSharding(self.rows.mesh, PartitionSpec())
        arguments = jax.device_put((self.variables, lr, given), everywhere)
        return jax.device_get(checked(apply, self.module, *arguments, rows=self.rows, **options))

    def placed(self, images: np.ndarray | jax.Array) -> tuple[np.ndarray | jax.Array, dict[str, Region]]:
        """Images [B, H, W, 3] on the smallest canvas that holds them, and the network's argument for it.

        If there is none, the images as they are, and no argument.
        """
        canvas = smallest(self.canvases, images.shape[1:3])
        if canvas is None:
            return images, {}
        return padded(canvas, images), {"region": Region(valid_size_of(images))}

    def _known(self, lr: jax.Array, kernel: typing.Any, code: typing.Any) -> dict[str, np.ndarray]:
        """What is given of the blur, checked."""
        if kernel is None and code is None:
            return {}
        if not self.takes_kernel:
            raise DataError(f"{type(self.module).__name__} does not use a kernel; leave it out")
        if kernel is not None and code is not None:
            raise DataError("give a kernel or its code, not both")
        if kernel is not None:
            return {"kernel": one_for_each(fit_kernel(kernel, self.module.kernel_size), lr.shape[0])}
        code, shape = np.asarray(code, np.float32), (lr.shape[0], self.module.code_length)
        if code.shape not in (shape, (1, shape[1])):
            raise DataError(f"kernel codes of {shape[0]} images have shape {shape}, got {code.shape}")
        return {"kernel_code": np.broadcast_to(code, shape)}

    def restore(self, image: np.ndarray, **options: typing.Any) -> np.ndarray:
        """One image, s times larger, of the same kind.

        Args:
          image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the last channel alpha); uint8, uint16, or float in [0, 1].
          **options: ``kernel`` and ``iterations`` as when called; ``self_ensemble=True`` for the mean over the image's
            eight flips and turns, which takes eight times as long; ``tile=N`` to restore it in parts of N×N pixels,
            with bounded memory (``inference.tiling``), ``tiles_at_once`` of them as one batch, for accelerators.

        Returns:
          [s·H, s·W] with the same channels and type.

        Raises:
          DataError: another shape or type, or values that are not finite or not in [0, 1]; or the model estimates
            kernels only.
        """
        if not self.restores:
            raise DataError(f"{type(self.module).__name__} restores no image: call the model for its kernel")
        return restore.restore_image(self, image, **options).image
