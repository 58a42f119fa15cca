"""Evaluation protocols as frozen values. A score means something only together with the name of its protocol."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import typing

import numpy as np

from blindsr_jax.degradations.blur_steps import Blur
from blindsr_jax.degradations.file_steps import Jpeg, Round8
from blindsr_jax.degradations.kernels import anisotropic_gaussian, isotropic_gaussian
from blindsr_jax.degradations.noise_steps import Noise
from blindsr_jax.degradations.pools import POOL_SIZES, POOL_WIDTHS, shaken_kernels
from blindsr_jax.degradations.size_steps import Downsample, Downsampling
from blindsr_jax.degradations.steps import Steps
from blindsr_jax.errors import ConfigError
from blindsr_jax.evaluation.baselines import Baseline, baselines_for
from blindsr_jax.ops.blur import BorderMode
from blindsr_jax.papers import SETTING2_SIZE, SETTING2_WIDTHS

# Lowest and highest of the eight widths, HR pixels (IKC, CVPR 2019; DAN section 4.1).
_GAUSSIAN8_WIDTHS = {2: (0.80, 1.60), 3: (1.35, 2.40), 4: (1.80, 3.20)}

# HR pixels; standard deviations on the 0–255 scale; JPEG qualities.
_PHOTO_WIDTHS = {2: (0.0, 0.9, 1.3), 3: (0.0, 1.35, 1.95), 4: (0.0, 1.8, 2.6)}
_PHOTO_NOISE, _PHOTO_QUALITIES = (0.0, 10.0), (None, 90, 70, 40)

# Widths in HR pixels and degrees of the nine kernels of DASR's table 3, as an author of DSAT gives them
# (I2-Multimedia-Lab/DSAT, issue 2); DASR's author answers with a picture (SYSU-SAIL/DASR, issue 25). Test scripts of
# other successors have the same, but for 0.5 in place of 0.2.
_DASR9 = (
    (2.0, 0.2, 0),
    (2.0, 1.0, 10),
    (3.5, 1.5, 30),
    (3.5, 2.0, 45),
    (3.5, 2.0, 90),
    (4.0, 1.5, 120),
    (4.0, 2.0, 135),
    (4.0, 3.0, 165),
    (4.0, 4.0, 180),
)
_DASR9_NOISE = (0.0, 5.0, 10.0)  # standard deviations on the 0–255 scale

S_FOLD_CIRCULAR = "s_fold_circular"
_SINGLE_WIDTHS = {2: (0.0, 0.6, 1.2, 1.8), 3: (0.0, 0.8, 1.6, 2.4), 4: (0.0, 1.2, 2.4, 3.6)}


@dataclasses.dataclass(frozen=True)
class GaussianCase:
    """A blur by a round Gaussian.

    Attributes:
      label: its name in tables, such as ``σ=1.80``.
      sigma: its width in HR pixels.
      size: K.
    """

    label: str
    sigma: float
    size: int = 21
    noise: typing.ClassVar[None] = None
    quality: typing.ClassVar[None] = None

    @property
    def kernel(self) -> np.ndarray:
        """float32 [K, K]."""
        return np.asarray(isotropic_gaussian(self.sigma, self.size), np.float32)


@dataclasses.dataclass(frozen=True)
class GivenCase:
    """A blur by a given kernel.

    Attributes:
      label: its name in tables.
      weights: the kernel's rows as plain numbers, so that protocols can be compared and written as text.
    """

    label: str
    weights: tuple[tuple[float, ...], ...]
    sigma: typing.ClassVar[None] = None
    noise: typing.ClassVar[None] = None
    quality: typing.ClassVar[None] = None

    @property
    def kernel(self) -> np.ndarray:
        """float32 [K, K]."""
        return np.asarray(self.weights, np.float32)


@dataclasses.dataclass(frozen=True)
class PhotoCase:
    """A degradation of ordinary photographs: round blur or none, noise or none, JPEG or none.

    Attributes:
      sigma: width of the Gaussian in HR pixels; 0 for no blur.
      noise: standard deviation of white noise on the 0–255 scale, added before compression.
      quality: quality of the JPEG file (4:2:0), or None for a lossless file.
      size: K.
    """

    sigma: float
    noise: float
    quality: int | None
    size: int = 21

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"σ={self.sigma:.2f}, noise {self.noise:g}, {f'JPEG {self.quality}' if self.quality else 'no JPEG'}"

    @property
    def kernel(self) -> np.ndarray:
        """float32 [K, K]."""
        return np.asarray(isotropic_gaussian(self.sigma, self.size), np.float32)


@dataclasses.dataclass(frozen=True)
class RotatedCase:
    """A blur by a rotated Gaussian, and noise.

    Attributes:
      sigmas: widths along the principal axes in HR pixels.
      degrees: the angle of the first axis, from the columns' direction towards that of the rows.
      noise: standard deviation of white noise on the 0–255 scale.
      size: K.
    """

    sigmas: tuple[float, float]
    degrees: float
    noise: float
    size: int = 21
    sigma: typing.ClassVar[None] = None
    quality: typing.ClassVar[None] = None

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"σ={self.sigmas[0]:.1f}, {self.sigmas[1]:.1f}, {self.degrees:g}°, noise {self.noise:g}"

    @property
    def kernel(self) -> np.ndarray:
        """float32 [K, K]."""
        return np.asarray(anisotropic_gaussian(*self.sigmas, np.radians(self.degrees), self.size), np.float32)


Case = GaussianCase | GivenCase | PhotoCase | RotatedCase


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The definition of a test: how LR images are made, or that they are stored, and how results are scored.

    Attributes:
      name: name that is printed with every score.
      scale: s; also the width of the border that scores leave out.
      cases: the blurs of synthetic LR images; a score is the mean over images and cases. Empty if LR images are stored.
      downsample, blur_mode: see ``degradations.degrade``.
      block_centres: LR pixels are samples at the centres of s×s blocks: see ``degradations.div2krk_lr``.
      rounding: rounding to 8 bits: ``nearest``, or ``down`` as a plain cast does.
      noise: standard deviation of white noise that is added before rounding, on the 0–255 scale.
      rgb: also score all three channels.
      one_case_per_image: blur image i only by case i modulo the number of cases, instead of by every case.
      tests: ``made`` from HR images by the cases; read from the folders of ``div2krk``, or from ``pairs`` of files; or
        ``pictures`` without ground truth.
      baselines: filters that are scored beside the models.
    """

    name: str
    scale: int
    cases: tuple[Case, ...] = ()
    downsample: Downsampling = "bicubic"
    blur_mode: BorderMode = "reflect"
    block_centres: bool = False
    rounding: typing.Literal["nearest", "down"] = "nearest"
    noise: float = 0.0
    rgb: bool = False
    one_case_per_image: bool = False
    # Neither changes the LR images, so neither is part of the fingerprint.
    tests: typing.Literal["made", "div2krk", "pairs", "pictures"] = dataclasses.field(default="made", repr=False)
    baselines: tuple[Baseline, ...] = dataclasses.field(default=(), repr=False)

    @property
    def border(self) -> int:
        """Number of pixels at each side that scores leave out."""
        return self.scale

    def cases_of(self, image: int) -> tuple[Case, ...]:
        """The blurs of a test image, by its number in the set."""
        return (self.cases[image % len(self.cases)],) if self.one_case_per_image else self.cases

    def steps_of(self, case: Case | None = None) -> Steps:
        """The degradation of a case, whose blur uses the batch's kernels; None for the protocol's noise and no JPEG."""
        noise = self.noise if case is None or case.noise is None else case.noise
        steps = Blur(mode=self.blur_mode), Downsample(self.downsample), Noise((noise, noise))
        compressed = (Jpeg((case.quality, case.quality)),) if case is not None and case.quality else ()
        return *steps, *compressed, Round8(self.rounding)

    @property
    def about(self) -> str:
        """How its LR images come about, in a sentence."""
        if self.tests == "pictures":
            return "pictures as they are, without ground truth"
        if self.tests == "pairs":
            return "stored pairs of HR and LR files"
        if self.tests == "div2krk":
            return "the LR files of the data set, and its kernels"
        sampling = {"bicubic": "MATLAB's bicubic", "s_fold": "the upper-left pixel of each block"}[self.downsample]
        labels = [case.label for case in self.cases]
        shown = ", ".join(labels) if len(labels) <= 8 else f"{labels[0]} to {labels[-1]}"
        steps = f"blur at a border of kind {self.blur_mode}, then {sampling}"
        noise = f", white noise of {self.noise:g}/255" if self.noise else ""
        return f"{steps}{noise}, 8 bits; {len(labels)} cases: {shown}"

    @property
    def fingerprint(self) -> str:
        """Its name and a SHA-256 of all its fields; equal fingerprints mean equal tests."""
        return f"{self.name}, {hashlib.sha256(repr(self).encode()).hexdigest()}"

    def subset(self, count: int) -> Protocol:
        """Keep ``count`` evenly spread cases and say so in the name; with all cases, return the protocol itself."""
        if count >= len(self.cases):
            return self
        chosen = np.round(np.linspace(0, len(self.cases) - 1, count) if count > 1 else [len(self.cases) // 2])
        cases = tuple(self.cases[int(i)] for i in chosen)
        kind = {GaussianCase: "widths", GivenCase: "kernels"}.get(type(cases[0]), "cases")
        return dataclasses.replace(self, name=f"{self.name}, {count} of {len(self.cases)} {kind}", cases=cases)


def gaussian8(scale: int) -> Protocol:
    """Gaussian8 (IKC; DAN table 1): eight round 21×21 Gaussians, reflect-padded blur, bicubic downsampling, 8-bit LR.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _GAUSSIAN8_WIDTHS:
        raise ConfigError(f"protocol gaussian8 is defined for scales 2, 3 and 4, not {scale}")
    widths = np.linspace(*_GAUSSIAN8_WIDTHS[scale], 8)
    return Protocol("gaussian8", scale, tuple(_gaussian(float(sigma)) for sigma in widths))


def gaussian8_noise15(scale: int) -> Protocol:
    """Gaussian8 with white noise of 15/255 in its LR images: our protocol for models that are trained with noise.

    Raises:
      ConfigError: as ``gaussian8``.
    """
    return dataclasses.replace(gaussian8(scale), name="gaussian8_noise15", noise=15.0)


def anisotropic8(scale: int) -> Protocol:
    """Eight rotated Gaussians of DAN's setting 2, one in each eighth of its widths and angles; otherwise gaussian8.

    Our protocol for selecting checkpoints: the paper scores setting 2 on DIV2KRK.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in SETTING2_SIZE:
        raise ConfigError(f"protocol anisotropic8 is defined for scales 2, 3 and 4, not {scale}")
    eighths = np.arange(8)
    lowest, highest = SETTING2_WIDTHS
    along, across = (lowest + (highest - lowest) * (order + 0.5) / 8 for order in (eighths, (5 * eighths + 2) % 8))
    angles = np.pi * (3 * eighths % 8) / 8
    drawn = anisotropic_gaussian(along, across, angles, SETTING2_SIZE[scale])  # type: ignore[arg-type]
    kernels = np.asarray(drawn, np.float64)
    labels = [f"σ={x:.2f}, {y:.2f}, {np.degrees(angle):.0f}°" for x, y, angle in zip(along, across, angles)]
    return Protocol("anisotropic8", scale, tuple(map(_given, labels, kernels)))


def shaken8(scale: int) -> Protocol:
    """Eight blurs of photographs that are shaken or out of focus: see ``pools.shaken_kernels``; otherwise gaussian8.

    Ours. The widths are those of gaussian8, so that the two differ in the shape of their blurs alone.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _GAUSSIAN8_WIDTHS:
        raise ConfigError(f"protocol shaken8 is defined for scales 2, 3 and 4, not {scale}")
    kernels = shaken_kernels([float(width) for width in np.linspace(*_GAUSSIAN8_WIDTHS[scale], 8)], 21)
    return Protocol("shaken8", scale, tuple(_given(label, kernel) for label, kernel in kernels.items()))


def shaken8_circular(scale: int) -> Protocol:
    """Such blurs for KernelNet and the solvers: circular, s-fold sampling, KernelNet's range of widths.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in POOL_WIDTHS:
        raise ConfigError(f"protocol shaken8_circular is defined for scales 2, 3 and 4, not {scale}")
    widths = [float(width) for width in np.linspace(*POOL_WIDTHS[scale], 8)]
    protocol = s_fold_circular(scale, shaken_kernels(widths, POOL_SIZES[scale]))
    return dataclasses.replace(protocol, name="shaken8_circular")


def photo(scale: int) -> Protocol:
    """Our protocol for ordinary photographs: all combinations of blur, noise and JPEG.

    Blur is none or one of two round Gaussians, noise is none or 10/255, and compression is none or JPEG (4:2:0) of
    quality 90, 70 or 40. Everything else is as in gaussian8. The noise is seeded by the picture's pixels and the case,
    so it is the same every time.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _PHOTO_WIDTHS:
        raise ConfigError(f"protocol photo is defined for scales 2, 3 and 4, not {scale}")
    combinations = itertools.product(_PHOTO_WIDTHS[scale], _PHOTO_NOISE, _PHOTO_QUALITIES)
    cases = tuple(PhotoCase(*combination) for combination in combinations)
    return Protocol("photo", scale, cases, baselines=baselines_for(scale))


def gaussian_width(scale: int) -> Protocol:
    """DSSR table VI: four round 21×21 Gaussians from width 0 to wide, reported one by one; otherwise gaussian8.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _SINGLE_WIDTHS:
        raise ConfigError(f"protocol gaussian_width is defined for scales 2, 3 and 4, not {scale}")
    widths = _SINGLE_WIDTHS[scale]
    return Protocol("gaussian_width", scale, tuple(_gaussian(sigma) for sigma in widths))


def dasr9(scale: int) -> Protocol:
    """DASR table 3: nine rotated 21×21 Gaussians, each with noise of 0, 5 and 10/255; otherwise gaussian8.

    The paper scores each of the 27 cases on Set14. The narrow width of the first kernel is uncertain: sources have 0.2
    and 0.5.

    Raises:
      ConfigError: it is defined for scale 4 only.
    """
    if scale != 4:
        raise ConfigError(f"protocol dasr9 is defined for scale 4, not {scale}")
    combinations = itertools.product(_DASR9_NOISE, _DASR9)
    cases = tuple(RotatedCase((along, across), degrees, noise) for noise, (along, across, degrees) in combinations)
    return Protocol("dasr9", scale, cases)


def div2krk(scale: int) -> Protocol:
    """DIV2KRK (Bell-Kligler et al., NeurIPS 2019; DAN table 2): the set's own LR files and kernels.

    The degradation below reproduces its LR files from HR files and kernels (``docs/protocols.md``): the kernel's centre
    of mass moves to the blocks' centres, a correlation repeats border pixels, sampling keeps the upper-left pixel of
    each block, and values are truncated to 8 bits. It serves to score estimated kernels.

    Raises:
      ConfigError: the set has LR files for scales 2 and 4 only.
    """
    if scale not in (2, 4):
        raise ConfigError(f"protocol div2krk is defined for scales 2 and 4, not {scale}")
    options: dict[str, typing.Any] = {"downsample": "s_fold", "blur_mode": "symmetric"}
    return Protocol("div2krk", scale, **options, block_centres=True, rounding="down", tests="div2krk")


def pairs(scale: int) -> Protocol:
    """Stored pairs of HR and LR files, such as RealSR's and DRealSR's: see ``data.pairs``."""
    return Protocol("pairs", scale, tests="pairs")


def no_reference(scale: int) -> Protocol:
    """Pictures as they are, without ground truth: what a model leaves of grain and of JPEG's blocks, beside bicubic.

    See ``metrics.flat_residual`` and ``metrics.block_edges``.
    """
    return Protocol("no_reference", scale, tests="pictures")


def s_fold_circular(
    scale: int, kernels: typing.Mapping[str, np.ndarray], *, one_kernel_per_image: bool = False
) -> Protocol:
    """The non-blind solvers' protocol (USRNet, CVPR 2020): given kernels, circular blur, s-fold sampling.

    Args:
      scale: s.
      kernels: [K, K] by label, correlation kernels summing to one.
      one_kernel_per_image: see ``Protocol.one_case_per_image``; the protocol's name says so. By default every image is
        blurred by every kernel.
    """
    cases = tuple(_given(label, kernel) for label, kernel in kernels.items())
    protocol = Protocol(S_FOLD_CIRCULAR, scale, cases, downsample="s_fold", blur_mode="circular", rgb=True)
    if not one_kernel_per_image:
        return protocol
    name = f"{protocol.name}, one of {len(cases)} kernels per image"
    return dataclasses.replace(protocol, name=name, one_case_per_image=True)


def _gaussian(sigma: float) -> GaussianCase:
    return GaussianCase(f"σ={sigma:.2f}", sigma)


def _given(label: str, kernel: np.ndarray) -> GivenCase:
    return GivenCase(label, tuple(tuple(row) for row in np.asarray(kernel, np.float64).tolist()))


def validation_protocol(scale: int, *, anisotropic: bool = False, noise: float = 0.0) -> Protocol:
    """The protocol that validates training: gaussian8, or at scale 1 the blurs of gaussian8 ×2 without downsampling.

    Args:
      scale: s.
      anisotropic: whether training uses rotated Gaussians; then validation uses anisotropic8.
      noise: standard deviation of white noise in LR images, 0 to 255; the protocol's name includes it.
    """
    protocol = anisotropic8(scale) if anisotropic and scale in SETTING2_SIZE else _validation_on_round_blurs(scale)
    if not noise:
        return protocol
    return dataclasses.replace(protocol, name=f"{protocol.name} with noise of {noise:g}/255", noise=noise)


def _validation_on_round_blurs(scale: int) -> Protocol:
    if scale in _GAUSSIAN8_WIDTHS:
        return gaussian8(scale)
    return dataclasses.replace(gaussian8(2), name="deblur8 (the widths of gaussian8 ×2, no sampling)", scale=scale)


# Protocols that the scale alone defines. s_fold_circular is missing because it also needs kernels.
PROTOCOLS: dict[str, typing.Callable[[int], Protocol]] = {
    "gaussian8": gaussian8,
    "gaussian8_noise15": gaussian8_noise15,
    "anisotropic8": anisotropic8,
    "shaken8": shaken8,
    "shaken8_circular": shaken8_circular,
    "photo": photo,
    "gaussian_width": gaussian_width,
    "dasr9": dasr9,
    "div2krk": div2krk,
    "pairs": pairs,
    "no_reference": no_reference,
}
