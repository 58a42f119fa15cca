"""Degradations by name: functions of the scale and of options that return a sequence of steps.

``@register_order("its_name")`` registers your own degradation for configs, protocols and ``blindsr degrade``.
Published degradations are in ``published_orders``.
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
    """Register a function as a degradation with this name.

    The function has the signature (scale, **options) -> tuple of steps. Its options have plain Python values and
    defaults. It is called once for each configuration, outside of ``jax.jit``.

    Args:
      name: what configs, protocols and ``blindsr degrade --steps`` call it.

    Raises:
      InputError: the package has a degradation or a step of that name.
    """
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
    """The classic degradation y = round(((x ⊗ k)↓s) + n) of DAN (eq. 1), DSSR, KernelNet and USRNet.

    Args:
      scale: s.
      kernels: the kernel sampler; None for given kernels.
      downsample: see ``Downsample``.
      blur_mode: border of the blur, see ``ops.blur``.
      noise, noise_free_rate: see ``Noise``.
      round_8bit: round the result to 8 bits, as in a file.
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
    """Our degradation for ordinary photographs: the effects of cameras and the web.

    The lens may blur. A share ``clean_rate`` of the images is then only downsampled to LR size. The others are resized
    to the sensor's size, get its noise, are sharpened, stored as JPEG and resized to LR size. Grain and JPEG blocks can
    thus be coarser or finer than a pixel. Finally most images are compressed by JPEG, and all are rounded to 8 bits.

    Args:
      scale: s.
      kernels: the kernel sampler; by default ``photo``, with widths of 0.2 to s HR pixels.
      clean_rate: share of images that are only downsampled between the blur and the last JPEG.
      size: lowest and highest size of the sensor's image relative to LR.
      noise, shot_noise: standard deviation of white noise, and of shot noise in white pixels, on the 0–255 scale.
      noise_free_rate: share of the other images without white noise, and independently without shot noise.
      sharpen, sharpen_rate: amount of unsharp masking, and share of images that are sharpened.
      first_jpeg, first_jpeg_rate: quality of the camera's file, and share of images where it is a JPEG.
      jpeg, jpeg_rate: quality of the last file, and share of images where it is a JPEG.
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
