"""The steps that degradations are made of: small frozen values that a batch of images passes one after another.

A step is called with a batch, with keys to draw from, and with the task at hand; it returns the batch that the next
step gets. Ready-made sequences are in ``orders``; ``notation`` reads and writes sequences as text. A step of your own
is a frozen dataclass with such a call and ``@register_step("its_name")``: configs, protocols and ``blindsr degrade``
then know it by that name.
"""

from __future__ import annotations

import dataclasses
import typing
import zlib

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.jpeg import jpeg
from blindsr_jax.degradations.noise import add_awgn, add_poisson
from blindsr_jax.degradations.samplers import Kernels
from blindsr_jax.degradations.sharpening import unsharp_mask
from blindsr_jax.degradations.variable_size import Interpolation, resize_to
from blindsr_jax.errors import InputError
from blindsr_jax.ops.blur import BorderMode, blur
from blindsr_jax.ops.pixel import round_to_8bit
from blindsr_jax.ops.resize import imresize, s_fold_down

Downsampling = typing.Literal["bicubic", "s_fold"]
Range = tuple[float, float]
NO_JPEG = 100.0  # the quality of an image that was never compressed


class Batch(typing.NamedTuple):
    """Images on their way through the steps of a degradation.

    Attributes:
      image: [B, H, W, C] in [0, 1]; steps may leave that range.
      size: [B, 2], height and width of each image, if it fills only the upper left part of ``image``; border pixels
        are repeated beyond. None if every image fills it.
      kernel: [B, K, K], the kernels of the first blur; None before it.
      sigma: [B], standard deviation of the noise in [0, 1].
      quality: [B], the lowest JPEG quality so far; 100 without compression.
    """

    image: jax.Array
    size: jax.Array | None
    kernel: jax.Array | None
    sigma: jax.Array
    quality: jax.Array


class Task(typing.NamedTuple):
    """What all steps of a degradation know.

    Attributes:
      scale: s.
      lr_size: height and width of the LR images.
      pool: [N, K, K], the kernels that the sampler ``pool`` draws from, or None.
      kernel_size: K of samplers that do not say theirs.
    """

    scale: int
    lr_size: tuple[int, int]
    pool: jax.Array | None = None
    kernel_size: int = 21


class Keys:
    """The random keys of one batch, by the name of what is drawn.

    The first request for a name gets the key of that name; each later one gets a key of its own. So a step that is
    added to a degradation leaves the draws of the others as they were. ``kernel``, ``level`` and ``noise`` are the keys
    that this package has always split off, which keeps the draws of older runs.

    Args:
      key: PRNG key of the batch.
    """

    _FIRST = ("kernel", "level", "noise")

    def __init__(self, key: jax.Array):
        self._key = key
        self._split = dict(zip(self._FIRST, jax.random.split(key, len(self._FIRST))))
        self._requests: dict[str, int] = {}

    def __call__(self, name: str) -> jax.Array:
        """The next key of this name."""
        count = self._requests.get(name, 0)
        self._requests[name] = count + 1
        key = self._split[name] if name in self._split else jax.random.fold_in(self._key, zlib.crc32(name.encode()))
        return jax.random.fold_in(key, count) if count else key


class Step(typing.Protocol):
    """One step of a degradation: hashable, made of plain values."""

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        """The batch after this step."""
        ...


Steps = tuple[Step, ...]
STEPS: dict[str, type] = {}
_StepClass = typing.TypeVar("_StepClass", bound=type)


def register_step(name: str) -> typing.Callable[[_StepClass], _StepClass]:
    """Makes a frozen dataclass known as a step by this name."""

    def register(step: _StepClass) -> _StepClass:
        step.name = name
        STEPS[name] = step
        return step

    return register


def run_steps(steps: Steps, batch: Batch, keys: Keys, task: Task) -> Batch:
    """The batch after all steps, in their order."""
    for step in steps:
        batch = step(batch, keys, task)
    return batch


@register_step("blur")
@dataclasses.dataclass(frozen=True)
class Blur:
    """A blur, each image by a kernel of its own.

    Attributes:
      kernels: the sampler; None for the kernels that the batch has already (``degrade(kernel=array)``).
      mode: border of the blur, see ``ops.blur``.
      rate: the share of images that are blurred.
    """

    kernels: Kernels | None = None
    mode: BorderMode = "reflect"
    rate: float = 1.0

    def __post_init__(self) -> None:
        _check_share("blur: rate", self.rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        kernel = batch.kernel
        if self.kernels is not None:
            kernel = self.kernels.draw(keys("kernel"), len(batch.image), size=task.kernel_size, pool=task.pool)
        elif kernel is None:
            raise InputError("blur: without a sampler it needs the kernels of the batch; give them, or name a sampler")
        blurred = blur(batch.image, kernel, self.mode)
        blurred = _where(_chosen(keys, "blurred", self.rate, batch), blurred, batch.image)
        return batch._replace(image=blurred, kernel=kernel if batch.kernel is None else batch.kernel)


@register_step("downsample")
@dataclasses.dataclass(frozen=True)
class Downsample:
    """To LR size at once.

    Attributes:
      kind: ``bicubic`` (MATLAB's imresize; DAN's and DSSR's tables) or ``s_fold`` (the upper-left pixel of each block).
    """

    kind: Downsampling = "bicubic"

    def __post_init__(self) -> None:
        _check_known("downsample: kind", self.kind, typing.get_args(Downsampling))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        height, width = batch.image.shape[1:3]
        if batch.size is not None or (height, width) != tuple(task.scale * side for side in task.lr_size):
            raise InputError("downsample: the images were resized before; use resize((1, 1)) to bring them to LR size")
        down = imresize(batch.image, 1 / task.scale) if self.kind == "bicubic" else s_fold_down(batch.image, task.scale)
        return batch._replace(image=down)


@register_step("resize")
@dataclasses.dataclass(frozen=True)
class Resize:
    """To a size drawn for each image, by an interpolation drawn for each image.

    Attributes:
      size: lowest and highest size relative to the LR image's; log-uniform. (1, 1) for LR size itself.
      kinds: interpolations, each as likely as the others; see ``resizing.resize_to``.
    """

    size: Range = (1.0, 1.0)
    kinds: tuple[Interpolation, ...] = ("antialiased_bicubic",)

    def __post_init__(self) -> None:
        _check_range("resize: size", self.size, lowest=0.05)
        for kind in self.kinds:
            _check_known("resize: kinds", kind, typing.get_args(Interpolation))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        count = len(batch.image)
        low, high = self.size
        here = jnp.broadcast_to(jnp.array(batch.image.shape[1:3]), (count, 2)) if batch.size is None else batch.size
        lr_size = jnp.array(task.lr_size)
        canvas = tuple(max(round(high * side), 1) for side in task.lr_size)
        factor = jnp.exp(_uniform(keys("size"), count, (jnp.log(low), jnp.log(high))))
        wanted = jnp.clip(jnp.round(factor[:, None] * lr_size), 1, jnp.array(canvas)).astype(jnp.int32)
        kind = jax.random.randint(keys("interpolation"), (count,), 0, len(self.kinds))
        image = resize_to(batch.image, here, wanted, canvas, self.kinds, kind)
        return batch._replace(image=image, size=None if low == high else wanted)


@register_step("noise")
@dataclasses.dataclass(frozen=True)
class Noise:
    """White Gaussian noise.

    Attributes:
      level: lowest and highest standard deviation on the 0–255 scale, drawn for each image.
      free_rate: the share of images without noise.
      grey_rate: the share of noisy images whose channels all get the same noise.
    """

    level: Range = (0.0, 0.0)
    free_rate: float = 0.0
    grey_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_range("noise: level", self.level)
        _check_share("noise: free_rate", self.free_rate)
        _check_share("noise: grey_rate", self.grey_rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        key_level, key_noise = keys("level"), keys("noise")
        if not self.level[1] > 0:
            return batch
        count = len(batch.image)
        sigma = _uniform(key_level, count, self.level) / 255.0
        if self.free_rate > 0:
            noisy = jax.random.bernoulli(jax.random.fold_in(key_level, 1), 1 - self.free_rate, (count,))
            sigma = jnp.where(noisy, sigma, 0.0)
        image = add_awgn(key_noise, batch.image, sigma, _chosen(keys, "grey", self.grey_rate, batch))
        return batch._replace(image=image, sigma=jnp.hypot(batch.sigma, sigma))


@register_step("shot_noise")
@dataclasses.dataclass(frozen=True)
class ShotNoise:
    """A sensor's noise: light comes in photons, so that the variance grows with it.

    Attributes:
      level: lowest and highest standard deviation of white pixels on the 0–255 scale, drawn for each image.
      free_rate: the share of images without it.
    """

    level: Range = (0.0, 0.0)
    free_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_range("shot_noise: level", self.level)
        _check_share("shot_noise: free_rate", self.free_rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        sigma = _uniform(keys("shot_level"), len(batch.image), self.level) / 255.0
        photons = 1 / jnp.square(jnp.maximum(sigma, 1e-3))  # that make white
        noisy = add_poisson(keys("shot_noise"), batch.image, counts=photons)
        chosen = _chosen(keys, "shot", 1 - self.free_rate, batch)
        at_half = _where(chosen, sigma * 0.5**0.5, jnp.zeros_like(sigma))  # of middle grey
        return batch._replace(image=_where(chosen, noisy, batch.image), sigma=jnp.hypot(batch.sigma, at_half))


@register_step("sharpen")
@dataclasses.dataclass(frozen=True)
class Sharpen:
    """Unsharp masking, as cameras and editors do it.

    Attributes:
      amount: lowest and highest weight of what is added, drawn for each image.
      radius: standard deviation of the blur in pixels.
      rate: the share of images that are sharpened.
    """

    amount: Range = (0.5, 0.5)
    radius: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        _check_range("sharpen: amount", self.amount)
        _check_share("sharpen: rate", self.rate)

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        amount = _uniform(keys("amount"), len(batch.image), self.amount)
        amount = jnp.where(_chosen(keys, "sharpened", self.rate, batch), amount, 0.0)
        return batch._replace(image=unsharp_mask(batch.image, amount, radius=self.radius, threshold=-1.0))


@register_step("jpeg")
@dataclasses.dataclass(frozen=True)
class Jpeg:
    """JPEG compression and decompression, equal to libjpeg's; the image is clipped and rounded to 8 bits before.

    Attributes:
      quality: lowest and highest quality, drawn for each image; whole numbers in 1 … 100.
      rate: the share of images that are compressed.
      subsampling: of the colours: ``420`` or ``444``.
    """

    quality: tuple[int, int] = (30, 95)
    rate: float = 1.0
    subsampling: typing.Literal["420", "444"] = "420"

    def __post_init__(self) -> None:
        _check_range("jpeg: quality", self.quality, lowest=1, highest=100)
        _check_share("jpeg: rate", self.rate)
        _check_known("jpeg: subsampling", self.subsampling, ("420", "444"))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        low, high = map(int, self.quality)
        quality = jax.random.randint(keys("quality"), (len(batch.image),), low, high + 1)
        compressed = jpeg(round_to_8bit(batch.image), quality, self.subsampling)
        chosen = _chosen(keys, "compressed", self.rate, batch)
        quality = jnp.where(chosen, quality, NO_JPEG).astype(batch.quality.dtype)
        image = _where(chosen, compressed, batch.image)
        return batch._replace(image=image, quality=jnp.minimum(batch.quality, quality))


@register_step("round8")
@dataclasses.dataclass(frozen=True)
class Round8:
    """Clipping to [0, 1] and rounding to 8 bits, as a stored file is.

    Attributes:
      direction: ``nearest``, or ``down`` as a plain cast to integers rounds.
    """

    direction: typing.Literal["nearest", "down"] = "nearest"

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        if self.direction == "nearest":
            return batch._replace(image=round_to_8bit(batch.image))
        return batch._replace(image=jnp.floor(jnp.clip(batch.image, 0, 1) * 255) / 255)


@register_step("one_of")
@dataclasses.dataclass(frozen=True)
class OneOf:
    """Alternatives, one drawn for each image. All are computed, so they should end at the same size.

    Attributes:
      branches: sequences of steps.
      shares: how likely each branch is; they sum to one.
    """

    branches: tuple[Steps, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.branches) != len(self.shares) or not self.branches or abs(sum(self.shares) - 1) > 1e-6:
            raise InputError("one_of: give one share for each branch; shares sum to one")

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        place = jax.random.uniform(keys("branch"), (len(batch.image),))
        results = [run_steps(branch, batch, keys, task) for branch in self.branches]
        if len({result.image.shape for result in results}) > 1:
            raise InputError("one_of: its branches end with images of different sizes; end each with resize((1, 1))")
        chosen, begin = results[-1], 0.0
        for result, share in zip(results[:-1], self.shares):
            inside = (place >= begin) & (place < begin + share)
            chosen = jax.tree.map(lambda new, old, inside=inside: _where(inside, new, old), result, chosen)
            begin += share
        return chosen


def _chosen(keys: Keys, name: str, rate: float, batch: Batch) -> jax.Array | bool:
    """Which images a step of such a rate applies to: [B]; or all or none of them, without a draw."""
    if rate in (0.0, 1.0):
        return rate == 1.0
    return jax.random.bernoulli(keys(name), rate, (len(batch.image),))


def _where(chosen: jax.Array | bool, yes: jax.Array, no: jax.Array) -> jax.Array:
    if isinstance(chosen, bool):
        return yes if chosen else no
    return jnp.where(chosen.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def _uniform(key: jax.Array, count: int, bounds: typing.Sequence[typing.Any]) -> jax.Array:
    return jax.random.uniform(key, (count,), minval=bounds[0], maxval=bounds[1])


def _check_range(name: str, value: Range, *, lowest: float = 0.0, highest: float = float("inf")) -> None:
    if len(value) != 2 or not lowest <= value[0] <= value[1] <= highest:
        raise InputError(f"{name} must be two numbers from {lowest:g} to {highest:g}, lowest first; got {value}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} must be 0 to 1, got {value}")


def _check_known(name: str, value: typing.Any, known: typing.Sequence[typing.Any]) -> None:
    if value not in known:
        raise InputError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
