"""Data types that functions exchange, and the letters of array shapes.

B is the number of images, H×W the size of an LR image, s the scale, K the kernel side, L the code length, and T the
number of unfolded steps. Images are NHWC float32 in [0, 1] unless stated otherwise.
"""

from __future__ import annotations

import dataclasses
import io
import typing

import flax.struct
import jax
import numpy as np

if typing.TYPE_CHECKING:
    from PIL import Image


@flax.struct.dataclass
class Degraded:
    """A degraded batch and its degradation parameters.

    Attributes:
      lr: [B, H, W, 3], LR images.
      kernel: [B, K, K], the true blur kernels.
      sigma: [B], standard deviations of the noise in [0, 1]; None if unused.
      quality: [B], JPEG qualities, 100 for uncompressed images; None if unused.
      drawn: values that the steps drew, by name, in the order of the steps, [B] or [B, n] each: see
        ``degradations.steps.recorded``.
    """

    lr: jax.Array
    kernel: jax.Array
    sigma: jax.Array | None = None
    quality: jax.Array | None = None
    drawn: typing.Mapping[str, tuple[jax.Array, ...]] = dataclasses.field(default_factory=dict)


class Estimate(typing.NamedTuple):
    """Estimates of a network after one unfolded step. A field is None if the network does not estimate it.

    Attributes:
      sr: [B, s·H, s·W, 3].
      kernel: [B, K, K].
      code: [B, L].
      degradation: [B, D], the parameters of the degradation (KernelDAN, RealDAN).
      detail: [B, s·H, s·W, 3], the HR image minus the interpolated LR image (DSSR).
      coarse: [B, K, K], the kernel before refinement (KernelNet).
      gradients: [B, H, W, 2], the sharp gradients of the LR image (KernelNet).
    """

    sr: jax.Array | None
    kernel: jax.Array | None = None
    code: jax.Array | None = None
    detail: jax.Array | None = None
    coarse: jax.Array | None = None
    gradients: jax.Array | None = None
    degradation: jax.Array | None = None


@flax.struct.dataclass
class Trace:
    """All unfolded steps of a model, step axis first. A field is None if the model does not estimate it.

    Attributes:
      sr: [T, B, s·H, s·W, 3].
      kernel: [T, B, K, K].
      kernel_code: [T, B, L].
      detail: [T, B, s·H, s·W, 3], DSSR's detail maps.
      degradation: [T, B, D].
    """

    sr: jax.Array | None = None
    kernel: jax.Array | None = None
    kernel_code: jax.Array | None = None
    detail: jax.Array | None = None
    degradation: jax.Array | None = None


@flax.struct.dataclass
class SROutput:
    """The output of every model. A notebook displays it as a panel.

    Attributes:
      sr: [B, s·H, s·W, 3], the restored images, not clipped; None for models that only estimate kernels.
      kernel: [B, K, K], the estimated or given blur kernels, or None.
      kernel_code: [B, L], the PCA codes of the kernels or the network's own description of the blur, or None.
      degradation: [B, D], the estimated parameters of the degradation, or None.
      trace: all unfolded steps, if requested.
      lr: [B, H, W, 3], the input images, set by loaded models; None from a network.
    """

    sr: jax.Array | None = None
    kernel: jax.Array | None = None
    kernel_code: jax.Array | None = None
    trace: Trace | None = None
    lr: jax.Array | None = None
    degradation: jax.Array | None = None

    def panel(self, image: int = 0) -> Image.Image:
        """Draw one image of the batch: the LR image, the result (or all traced steps), and the kernels.

        Args:
          image: index in the batch.
        """
        from blindsr_jax.pictures import steps_panel  # drawing is loaded when something is drawn

        trace = self.trace or Trace()
        last = (None if x is None else np.asarray(x[image]) for x in (self.lr, self.sr, self.kernel))
        steps = (None if x is None else np.asarray(x[:, image]) for x in (trace.sr, trace.kernel))
        return steps_panel(*last, *steps)

    def show(self, image: int = 0) -> None:
        """Open ``panel`` in the system's image viewer."""
        self.panel(image).show()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.panel().save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        arrays = {"sr": self.sr, "kernel": self.kernel, "kernel_code": self.kernel_code}
        arrays["degradation"] = self.degradation
        parts = [f"{name} {list(x.shape)}" for name, x in arrays.items() if x is not None]
        steps = next((x for x in (self.trace.sr, self.trace.kernel) if x is not None), None) if self.trace else None
        return f"SROutput({', '.join(parts + ([] if steps is None else [f'trace of {len(steps)} steps']))})"
