"""``Model``: a network with its weights, ready to call."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.data.kernel_arrays import in_window
from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import restore
from blindsr_jax.inference.texture import most_textured
from blindsr_jax.types import SROutput


@functools.partial(jax.jit, static_argnums=0, static_argnames=("iterations", "trace"))
def _apply(
    module: nn.Module,
    variables: dict[str, typing.Any],
    lr: jax.Array,
    known: dict[str, jax.Array],
    *,
    iterations: int | None,
    trace: bool,
) -> SROutput:
    """Compiled once for each network and shape, whatever its weights; ``known`` is a kernel, its code or nothing."""
    return module.apply(variables, lr, **known, iterations=iterations, trace=trace)


class Weighted:
    """A network with its weights.

    Args:
      module: the flax network.
      variables: its ``params`` and ``constants``.
      metadata: what is known of the weights (protocol, source, scores).

    Attributes:
      module, variables, metadata: as given.
    """

    def __init__(
        self, module: nn.Module, variables: dict[str, typing.Any], metadata: dict[str, typing.Any] | None = None
    ):
        self.module, self.variables, self.metadata = module, variables, metadata or {}

    @functools.cached_property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(np.size(leaf) for leaf in jax.tree.leaves(self.variables["params"]))

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the network's kind, scale, number of steps and all its arrays: equal ones restore alike."""
        sizes = [getattr(self.module, name, None) for name in ("scale", "iterations")]
        digest = hashlib.sha256(f"{type(self.module).__name__} {sizes}".encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


class Model(Weighted):
    """A blind model of one scale: call it on a batch, or ``restore`` one image.

    Attributes:
      scale: s.
      window: see ``within``.
      needs_kernel: whether it has to be told the blur.
    """

    needs_kernel: typing.ClassVar[bool] = False

    def __init__(
        self, module: nn.Module, variables: dict[str, typing.Any], metadata: dict[str, typing.Any] | None = None
    ):
        super().__init__(module, variables, metadata)
        self.scale: int = module.scale
        self.window: int | None = None

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
        model = Model(self.module, self.variables, self.metadata)
        model.window = window
        return model

    @functools.cached_property
    def fingerprint(self) -> str:
        """As of ``Weighted``; another one for each window."""
        return super().fingerprint + (f", window {self.window}" if self.window else "")

    def __repr__(self) -> str:
        return f"Model({type(self.module).__name__} ×{self.scale}, {self.parameters / 1e6:.2f} M parameters)"

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
    ) -> SROutput:
        """Restores a batch. Compiles once for each shape.

        Args:
          lr: [B, H, W, 3] float32 in [0, 1].
          kernel: the blur kernel if it is known, [B, K', K'] or [K', K'], odd K', summing to one; else it is estimated.
          kernel_code: instead of a kernel its code, [B, L], as an earlier call returned it.
          iterations: unfolded steps T; by default as many as in training.
          trace: also return every step.

        Returns:
          SROutput.

        Raises:
          DataError: shapes or values are not as above.
        """
        lr = checked_batch(lr, iterations)
        known = self._known(lr, kernel, kernel_code)
        if iterations is not None and not self.restores:
            raise DataError(
                f"{type(self.module).__name__} estimates a kernel in one pass: leave the number of iterations out"
            )
        if self.window:
            lr = jnp.asarray(most_textured(lr, self.window))
        with memory_errors(lr):
            return _apply(self.module, self.variables, lr, known, iterations=iterations, trace=trace)

    def _known(self, lr: jax.Array, kernel: typing.Any, code: typing.Any) -> dict[str, jax.Array]:
        """What is given of the blur, checked."""
        if kernel is None and code is None:
            return {}
        if not self.takes_kernel:
            raise DataError(f"{type(self.module).__name__} does not use a kernel; leave it out")
        if kernel is not None and code is not None:
            raise DataError("give a kernel or its code, not both")
        if kernel is not None:
            return {"kernel": one_for_each(fit_kernel(kernel, self.module.kernel_size), lr.shape[0])}
        code, shape = jnp.asarray(code, jnp.float32), (lr.shape[0], self.module.code_length)
        if code.shape != shape:
            raise DataError(f"kernel codes of {shape[0]} images have shape {shape}, got {code.shape}")
        return {"kernel_code": code}

    def restore(self, image: np.ndarray, **options: typing.Any) -> np.ndarray:
        """One image, s times larger, of the same kind.

        Args:
          image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the last channel alpha); uint8, uint16, or float in [0, 1].
          **options: ``kernel`` and ``iterations`` as when called; ``self_ensemble=True`` for the mean over the image's
            eight flips and turns, which takes eight times as long; ``tile=N`` to restore it in parts of N×N pixels,
            with bounded memory (``inference.tiling``).

        Returns:
          [s·H, s·W] with the same channels and type.

        Raises:
          DataError: another shape or type, or values that are not finite or not in [0, 1]; or the model estimates
            kernels only.
        """
        if not self.restores:
            raise DataError(f"{type(self.module).__name__} restores no image: call the model for its kernel")
        return restore.restore_image(self, image, **options).image


def checked_batch(lr: typing.Any, iterations: int | None) -> jax.Array:
    """LR images as float32 [B, H, W, 3]. Raises DataError if they, or the number of unfolded steps, cannot be."""
    lr = jnp.asarray(lr, jnp.float32)
    if lr.ndim != 4 or lr.shape[-1] != 3:
        raise DataError(f"a model wants images [B, H, W, 3], got shape {lr.shape}")
    if iterations is not None and iterations < 1:
        raise DataError(f"iterations must be at least 1, got {iterations}")
    return lr


def checked_kernels(kernel: typing.Any) -> np.ndarray:
    """A user's kernels, [K, K] or [B, K, K], as float32 [B, K, K], each summing to one.

    Raises:
      DataError: not square, even-sized, not finite, or without a positive sum.
    """
    kernel = np.asarray(kernel, np.float32)
    kernel = kernel[None] if kernel.ndim == 2 else kernel
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2] or kernel.shape[1] % 2 == 0:
        raise DataError(f"a kernel must be square with an odd side, [K, K] or [B, K, K]; got shape {kernel.shape}")
    total = kernel.sum(axis=(1, 2), keepdims=True)
    if not np.isfinite(kernel).all() or (total <= 0).any():
        raise DataError("a kernel must hold finite numbers with a positive sum")
    return kernel / total


def fit_kernel(kernel: typing.Any, size: int) -> np.ndarray:
    """A user's kernel as the network takes it: float32 [B, size, size], summing to one.

    Smaller kernels are surrounded by zeros. Larger ones are cropped if at most 1 % of their weight lies outside.

    Args:
      kernel: [K', K'] or [B, K', K'], odd K'.
      size: K.

    Raises:
      DataError: as ``checked_kernels``, or too wide for the model.
    """
    return np.stack([in_window(one, size) for one in checked_kernels(kernel)])


def one_for_each(kernels: np.ndarray, count: int) -> jax.Array:
    """Kernels [B, K, K] or [1, K, K] for so many images. Raises DataError if there are others than one or as many."""
    if kernels.shape[0] not in (1, count):
        raise DataError(f"{kernels.shape[0]} kernels for {count} images: give one each, or one for all")
    return jnp.broadcast_to(kernels, (count, *kernels.shape[1:]))


@contextlib.contextmanager
def memory_errors(lr: jax.Array) -> typing.Iterator[None]:
    """Turns running out of memory into an OutOfMemory that names the size of the images."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        size = f"{lr.shape[2]}x{lr.shape[1]}"
        raise OutOfMemory(f"not enough memory for images of {size} pixels: restore in smaller tiles (--tile)") from None
