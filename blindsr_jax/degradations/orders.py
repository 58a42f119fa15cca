"""Degradations by name: functions of the scale and of options that return steps in their order.

``@register_order("its_name")`` makes one of your own known to configs, protocols and ``blindsr degrade``. Published
ones are in ``published_orders``.
"""

from __future__ import annotations

import typing

from blindsr_jax.degradations.blur_steps import Blur, Sharpen
from blindsr_jax.degradations.choice_steps import OneOf
from blindsr_jax.degradations.file_steps import Jpeg, Round8
from blindsr_jax.degradations.noise_steps import Noise, ShotNoise
from blindsr_jax.degradations.registry import registering
from blindsr_jax.degradations.samplers import Kernels, kernels_of
from blindsr_jax.degradations.size_steps import Downsample, Downsampling, Resize
from blindsr_jax.degradations.steps import STEPS, Range, Steps
from blindsr_jax.ops.blur import BorderMode

Order = typing.Callable[..., Steps]
ORDERS: dict[str, Order] = {}
_OrderFunction = typing.TypeVar("_OrderFunction", bound=Order)


def register_order(name: str) -> typing.Callable[[_OrderFunction], _OrderFunction]:
    """Makes a function (scale, **options) -> steps known as a degradation by this name."""
    return registering(ORDERS, "degradation", name, reserved=STEPS)


@register_order("classic")
def classic(
    scale: int,
    *,
    kernels: Kernels | None = None,
    downsample: Downsampling = "bicubic",
    blur_mode: BorderMode = "reflect",
    noise: Range = (0.0, 0.0),
    noise_free_rate: float = 0.0,
    round_8bit: bool = True,
) -> Steps:
    """y = round(((x ⊗ k)↓s) + n): DAN eq. 1, and what DSSR, KernelNet and USRNet are trained on.

    Args:
      scale: s.
      kernels: the sampler; None for given kernels.
      downsample: see ``Downsample``.
      blur_mode: border of the blur.
      noise, noise_free_rate: see ``Noise``.
      round_8bit: whether the result is rounded as a file is.
    """
    steps = Blur(kernels, blur_mode), Downsample(downsample), Noise(noise, noise_free_rate)
    return (*steps, Round8()) if round_8bit else steps


@register_order("photo")
def photo(
    scale: int,
    *,
    kernels: Kernels | None = None,
    clean_rate: float = 0.35,
    size: Range = (0.7, 2.0),
    noise: Range = (0.0, 20.0),
    shot_noise: Range = (0.0, 20.0),
    noise_free_rate: float = 0.4,
    sharpen: Range = (0.2, 1.0),
    sharpen_rate: float = 0.2,
    first_jpeg: tuple[int, int] = (60, 98),
    first_jpeg_rate: float = 0.4,
    jpeg: tuple[int, int] = (30, 97),
    jpeg_rate: float = 0.65,
) -> Steps:
    """Ours: what cameras and the web do to a picture.

    The lens blurs, or does not. A share of the images then only shrinks to LR size. The others are sampled at another
    size, get a sensor's noise there, are sharpened and stored as JPEG, and then are resized to LR size, so that grain
    and blocks may be coarser or finer than a pixel. At the end most images are JPEG files, all have 8 bits.

    Args:
      scale: s.
      kernels: by default the sampler ``photo``, with widths of 0.2 to s HR pixels.
      clean_rate: the share of images without a step between blur and the last JPEG.
      size: lowest and highest size of the sensor's image relative to LR.
      noise, shot_noise: standard deviation of white noise, and of shot noise at white, on the 0–255 scale.
      noise_free_rate: the share of the others that have no white noise, and likewise no shot noise.
      sharpen, sharpen_rate: amount of unsharp masking, and how often there is any.
      first_jpeg, first_jpeg_rate: quality of the camera's file, and how often it is a JPEG.
      jpeg, jpeg_rate: quality of the last file, and how often it is a JPEG.
    """
    kernels = kernels_of("photo", sigma=(0.2, float(scale))) if kernels is None else kernels
    camera = (
        Resize(size, ("antialiased_bicubic", "box", "bilinear")),
        ShotNoise(shot_noise, noise_free_rate),
        Noise(noise, noise_free_rate, grey_rate=0.3),
        Sharpen(sharpen, rate=sharpen_rate),
        Jpeg(first_jpeg, first_jpeg_rate),
        Resize((1.0, 1.0), ("antialiased_bicubic", "box", "bilinear", "bicubic")),
    )
    taken = OneOf(((Downsample("bicubic"),), camera), (clean_rate, 1 - clean_rate))
    return Blur(kernels), taken, Jpeg(jpeg, jpeg_rate), Round8()
