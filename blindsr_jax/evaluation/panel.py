"""A picture of a sample's results: the output of each step of a model beside the truth."""

from __future__ import annotations

import typing

import jax.numpy as jnp
import numpy as np
from PIL import Image

from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.samples import Sample, synthetic_sample
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import enlarge_bicubic
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.metrics import kernel_l1, psnr
from blindsr_jax.pictures import estimation_panel, from_unit, panel

_CROP, _ESTIMATION_CROP = 256, 512  # HR pixels; estimating a kernel needs a larger part


def draw_panel(model: Restorer, hr: np.ndarray, protocol: Protocol) -> Image.Image:
    """Draw the panel of a model on the centre of an HR image, uint8 [H, W, 3], with the protocol's middle blur."""
    case = protocol.cases[len(protocol.cases) // 2]
    if isinstance(model, Model) and not model.restores:
        return kernel_panel(model, synthetic_sample("panel", hr, protocol, case, _ESTIMATION_CROP))
    return unfolding_panel(model, synthetic_sample("panel", hr, protocol, case, _CROP))


def unfolding_panel(model: Restorer, sample: Sample) -> Image.Image:
    """Draw the enlarged LR image, bicubic, every unfolded step and the truth, then true and estimated kernels.

    Captions give the scores.

    Args:
      model: an unfolded model. A model that needs a kernel gets the true one.
      sample: a small sample with ground truth; its images are shown in full.
    """
    truth, hr = sample.kernel, sample.hr
    assert hr is not None, "the sample has ground truth"
    trace = model(_as_batch(sample), kernel=truth if model.needs_kernel else None, trace=True).trace
    assert trace is not None and trace.sr is not None, "the model was asked for its steps"
    steps, kernels = [], []
    if truth is not None and (trace.kernel is not None or model.needs_kernel):
        kernels.append((_true_caption(sample), truth))
    for t in range(trace.sr.shape[0]):
        image = from_unit(np.asarray(trace.sr[t, 0]), np.dtype(np.uint8))
        steps.append((f"step {t + 1}: {psnr(image, hr, model.scale):.2f} dB", image))
        if truth is not None and trace.kernel is not None:
            kernel = np.asarray(trace.kernel[t, 0])
            error = f": L1 {kernel_l1(kernel, truth):.2f}" if model.kernel_space == "hr" else " of the LR image"
            kernels.append((f"kernel {t + 1}{error}", kernel))
    bicubic = enlarge_bicubic(sample.lr, model.scale)
    caption = f"bicubic: {psnr(bicubic, hr, model.scale):.2f} dB"
    return panel(sample.lr, [(caption, bicubic), *steps, ("truth", hr)], kernels)


def kernel_panel(model: Model, sample: Sample) -> Image.Image:
    """Draw the LR image, a kernel estimator's intermediate results, its kernels and the true one (KernelNet, figure 6).

    Args:
      model: a kernel estimator.
      sample: a small sample with a known kernel; its LR image is shown in full.
    """
    truth = sample.kernel
    assert truth is not None, "the sample has a known kernel"
    found: typing.Any = model.module.apply(model.variables, _as_batch(sample), method="findings")
    maps, lr_kernels, kernels = ([(name, np.asarray(x[0])) for name, x in group.items()] for group in found)
    scored = [(f"{name}: L1 {kernel_l1(kernel, truth):.2f}", kernel) for name, kernel in kernels]
    return estimation_panel(sample.lr, maps, [*lr_kernels, *scored, (_true_caption(sample), truth)])


def _as_batch(sample: Sample) -> jnp.ndarray:
    return jnp.asarray(sample.lr, jnp.float32)[None] / 255


def _true_caption(sample: Sample) -> str:
    """The true kernel's caption, without Greek letters, which Pillow's default font lacks."""
    return f"true kernel, {sample.case.replace('σ=', 'width ')}"
