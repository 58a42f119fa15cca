"""Published degradations of real pictures, by name: Real-ESRGAN, RealDAN and BSRGAN.

They differ from the authors' code as follows. All values are drawn for each image, whereas the code draws scales,
interpolations and alternatives for a whole batch. JPEG is libjpeg's, in integers and with whole qualities, whereas
Real-ESRGAN and RealDAN compute in floating point with a transposed luma table. Resizing uses sizes, not factors.
Sharpening applies only to the network's input, not to its target. There is no pool of pairs.
"""

from __future__ import annotations

import math

from blindsr_jax.degradations.blur_steps import Blur, Sharpen
from blindsr_jax.degradations.choice_steps import OneOf, Shuffled
from blindsr_jax.degradations.file_steps import Clip, Jpeg, Round8
from blindsr_jax.degradations.noise_steps import CorrelatedNoise, Noise, PoissonNoise
from blindsr_jax.degradations.orders import register_order
from blindsr_jax.degradations.real_kernels import Radius
from blindsr_jax.degradations.samplers import kernels_of
from blindsr_jax.degradations.size_steps import Resize
from blindsr_jax.degradations.steps import Steps
from blindsr_jax.degradations.variable_size import Interpolation

_TORCH: tuple[Interpolation, ...] = ("area", "bilinear", "bicubic")
_MATLAB: Interpolation = "antialiased_bicubic"
_OPENCV: tuple[Interpolation, ...] = ("bilinear", "bicubic", "box")


@register_order("real_esrgan")
def real_esrgan(scale: int, *, sharpen: bool = True) -> Steps:
    """The second-order degradation of Real-ESRGAN (Wang et al., ICCVW 2021), with the values of its x4plus model.

    Blur, resizing, noise and JPEG are applied twice. In half of the images the final resizing to LR size and its sinc
    filter precede the second JPEG; in the other half they follow it.

    Args:
      scale: s; the published networks are for 2 and 4.
      sharpen: sharpen the HR image first, as for the published weights.
    """
    first = (
        Blur(kernels_of("real_esrgan", sigma=(0.2, 3.0))),
        Resize((0.15, 1.5), _TORCH, relative_to="image", up_rate=0.2, down_rate=0.7),
        *_noise(30.0, 3.0),
        Jpeg((30, 95)),
    )
    second = (
        Blur(kernels_of("real_esrgan", sigma=(0.2, 1.5)), rate=0.8),
        Resize((0.3, 1.2), _TORCH, up_rate=0.3, down_rate=0.4),
        *_noise(25.0, 2.5),
    )
    end = Resize((1.0, 1.0), _TORCH), Blur(kernels_of("sinc", rate=0.8, omega=(math.pi / 3, math.pi)))
    jpeg = Jpeg((30, 95))
    sharpened = (Sharpen((0.5, 0.5), radius=8.0, threshold=10.0),) if sharpen else ()
    return *sharpened, *first, *second, OneOf(((*end, jpeg), (jpeg, *end)), (0.5, 0.5)), Round8()


@register_order("realdan")
def realdan(scale: int, *, sinc_radius: Radius = "euclidean") -> Steps:
    """The degradation of RealDAN (Luo et al., 2022): like Real-ESRGAN's, but in a fixed order and without sharpening.

    Kernels have RealDAN's widths, see ``sample_realdan``. Each JPEG compresses half of the images.

    Args:
      scale: s.
      sinc_radius: ``squared`` for the public code's sinc kernels, which use r² where the formula has r.
    """

    def blur(widest: float) -> Blur:
        return Blur(kernels_of("realdan", sigma=(0.2, widest), radius=sinc_radius))

    return (
        blur(3.0),
        Resize((0.15, 1.5), _TORCH, relative_to="image", up_rate=0.2, down_rate=0.7),
        *_noise(30.0, 3.0),
        Jpeg((30, 95), rate=0.5),
        blur(1.5),
        Resize((0.3, 1.2), _TORCH, up_rate=0.3, down_rate=0.4),
        *_noise(25.0, 2.5),
        Resize((1.0, 1.0), _TORCH),
        Blur(kernels_of("sinc", rate=0.8, omega=None, radius=sinc_radius)),
        Jpeg((30, 95), rate=0.5),
        Round8(),
    )


def _noise(highest_level: float, highest_scale: float) -> Steps:
    """Gaussian noise for half of the images and Poisson noise for the others; 40 % of either is grey."""
    gaussian = Noise((1.0, highest_level), grey_rate=0.4)
    poisson = PoissonNoise((0.05, highest_scale), grey_rate=0.4)
    return OneOf(((gaussian,), (poisson,)), (0.5, 0.5)), Clip()


@register_order("bsrgan")
def bsrgan(scale: int, *, kernel_size: int = 25) -> Steps:
    """The shuffled degradation of BSRGAN (Zhang et al., ICCV 2021).

    Two blurs, two resizings, noise and JPEG are applied in an order that is drawn for each batch; the resizing to LR
    size is always the later of the two. A final JPEG follows. Camera noise is left out, because BSRGAN makes it with a
    separate model; its code also leaves it out if that model is missing.

    The first resizing draws its factor log-uniformly. Its s-fold sampling at the centres of blocks is a Gaussian blur
    followed by bilinear interpolation, which weighs the same pixels. At ×4 a quarter of the images are halved first.
    Their later steps use the widths and factors of ×4, whereas the code continues with those of ×2.

    Args:
      scale: s; BSRGAN's networks are for 2 and 4.
      kernel_size: K; 25 as published.
    """
    blur = Blur(kernels_of("bsrgan", scale=scale, size=kernel_size))
    at_centres = (
        Blur(kernels_of("isotropic", sigma=(0.1, 0.6 * scale), size=kernel_size)),
        Resize((1.0, 1.0), ("bilinear",)),
    )
    smaller = OneOf(((Resize((0.5, float(scale)), _OPENCV), Clip()), (*at_centres, Clip())), (0.75, 0.25))
    to_lr = Resize((1.0, 1.0), _OPENCV)
    white = Noise((2.0, 25.0), grey_rate=0.5)
    noise = OneOf(((white, Clip()), (CorrelatedNoise((25.0, 25.0)), Clip())), (0.8, 0.2))
    shuffled = Shuffled((blur, blur, smaller, to_lr, noise, Jpeg((30, 95), rate=0.9)), before=((2, 3),))
    half = Resize((0.5, 0.5), (*_OPENCV, *[_MATLAB] * 3), relative_to="image")
    halved = (OneOf(((half, Clip()), ()), (0.25, 0.75)),) if scale == 4 else ()
    return *halved, shuffled, Resize((1.0, 1.0), ("bilinear",)), Jpeg((30, 95)), Round8()
