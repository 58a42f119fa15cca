"""What functions hand to each other, and the letters of their shapes.

B images, H×W pixels of an LR image, s scale, K kernel side, L code length, T unfolded steps. Images are NHWC float32
in [0, 1] unless said otherwise.
"""

from __future__ import annotations

import io
import typing

import flax.struct
import jax
import numpy as np

if typing.TYPE_CHECKING:
    from PIL import Image


@flax.struct.dataclass
class Degraded:
    """A degraded batch and what it was made with.

    Attributes:
      lr: [B, H, W, 3], LR images.
      kernel: [B, K, K], the true blur kernels.
      sigma: [B], standard deviations of the noise in [0, 1]; None where it does not matter.
      quality: [B], JPEG qualities, 100 for images that were not compressed; None where it does not matter.
    """

    lr: jax.Array
    kernel: jax.Array
    sigma: jax.Array | None = None
    quality: jax.Array | None = None


class Estimate(typing.NamedTuple):
    """What a network knows after an unfolded step; None where it has no such thing.

    Attributes:
      sr: [B, s·H, s·W, 3].
      kernel: [B, K, K].
      code: [B, L].
      detail: [B, s·H, s·W, 3], what bicubic interpolation lacks (DSSR).
      coarse: [B, K, K], the kernel before it was refined (KernelNet).
      gradients: [B, H, W, 2], the sharp gradients of the LR image (KernelNet).
    """

    sr: jax.Array | None
    kernel: jax.Array | None = None
    code: jax.Array | None = None
    detail: jax.Array | None = None
    coarse: jax.Array | None = None
    gradients: jax.Array | None = None


@flax.struct.dataclass
class Trace:
    """Every unfolded step of a model, step axis first; None where a model has no such thing.

    Attributes:
      sr: [T, B, s·H, s·W, 3].
      kernel: [T, B, K, K].
      kernel_code: [T, B, L].
      detail: [T, B, s·H, s·W, 3], DSSR's detail maps.
    """

    sr: jax.Array | None = None
    kernel: jax.Array | None = None
    kernel_code: jax.Array | None = None
    detail: jax.Array | None = None


@flax.struct.dataclass
class SROutput:
    """What every model returns. In a notebook it displays itself.

    Attributes:
      sr: [B, s·H, s·W, 3], the restored image; not clipped. None for models that only estimate kernels.
      kernel: [B, K, K], the estimated (or given) blur kernel, or None.
      kernel_code: [B, L], its PCA code, or None.
      trace: every step, where it was asked for.
      lr: [B, H, W, 3], what was restored, where a model was called (networks leave it out).
    """

    sr: jax.Array | None = None
    kernel: jax.Array | None = None
    kernel_code: jax.Array | None = None
    trace: Trace | None = None
    lr: jax.Array | None = None

    def panel(self, image: int = 0) -> Image.Image:
        """One image of the batch as a picture: LR, every step if they were traced, else the result, and the kernel.

        Args:
          image: its number in the batch.
        """
        from blindsr_jax.pictures import steps_panel  # drawing is loaded when something is drawn

        trace = self.trace or Trace()
        last = (None if x is None else np.asarray(x[image]) for x in (self.lr, self.sr, self.kernel))
        steps = (None if x is None else np.asarray(x[:, image]) for x in (trace.sr, trace.kernel))
        return steps_panel(*last, *steps)

    def show(self, image: int = 0) -> None:
        """Opens ``panel`` in the system's viewer of pictures."""
        self.panel(image).show()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.panel().save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        arrays = {"sr": self.sr, "kernel": self.kernel, "kernel_code": self.kernel_code}
        parts = [f"{name} {list(x.shape)}" for name, x in arrays.items() if x is not None]
        steps = next((x for x in (self.trace.sr, self.trace.kernel) if x is not None), None) if self.trace else None
        return f"SROutput({', '.join(parts + ([] if steps is None else [f'trace of {len(steps)} steps']))})"
