"""What the steps of a degradation have in common: the batch that passes them, its random keys, and their register.

A step is called with a batch, with keys to draw from, and with the task at hand; it returns the batch that the next
step gets. A step of your own is a frozen dataclass with such a call and ``@register_step("its_name")``. The steps
themselves are in ``blur_steps``, ``size_steps``, ``noise_steps``, ``file_steps`` and ``choice_steps``, ready-made
sequences of them in ``orders`` and ``published_orders``; ``notation`` reads and writes them as text.
"""

from __future__ import annotations

import math
import numbers
import typing
import zlib

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.registry import registering

Range = tuple[float, float]
NO_JPEG = 100.0  # the quality of an image that was never compressed


class Batch(typing.NamedTuple):
    """Images on their way through the steps of a degradation.

    Attributes:
      image: [B, H, W, C] in [0, 1]; steps may leave that range.
      size: [B, 2], height and width of each image, if images fill only the upper left part of ``image``; what lies
        beyond means nothing. None if every image fills it.
      kernel: [B, K, K], the kernels of the first blur; None before it.
      sigma: [B], standard deviation of the noise in [0, 1]. Blur and resizing change it as they change white noise;
        sharpening and compression leave the number as it is.
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
      kernel_size: K of samplers whose options do not say it.
    """

    scale: int
    lr_size: tuple[int, int]
    pool: jax.Array | None = None
    kernel_size: int = 21


class Keys:
    """The random keys of one batch, by the name of what is drawn.

    The first request for a name gets the key of that name; each later one gets a key of its own. So a step that is
    added to a degradation leaves the draws of the others as they were. ``kernel``, ``level`` and ``noise`` are first
    the keys that this package has always split off, which keeps the draws of older runs.

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
        if not count and name in self._split:
            return self._split[name]
        key = jax.random.fold_in(self._key, zlib.crc32(name.encode()))
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
        return registering(STEPS, "step", name)(step)

    return register


def run_steps(steps: Steps, batch: Batch, keys: Keys, task: Task) -> Batch:
    """The batch after all steps, in their order."""
    for step in steps:
        batch = step(batch, keys, task)
    return batch


def full_size(batch: Batch) -> jax.Array:
    """Height and width of each image: int32 [B, 2]."""
    if batch.size is not None:
        return batch.size
    return jnp.broadcast_to(jnp.array(batch.image.shape[1:3], jnp.int32), (len(batch.image), 2))


def pad_batch(batch: Batch, height: int, width: int) -> Batch:
    """The same images in the upper left of larger arrays."""
    margins = (0, height - batch.image.shape[1]), (0, width - batch.image.shape[2])
    return batch._replace(image=jnp.pad(batch.image, ((0, 0), *margins, (0, 0))), size=full_size(batch))


def filled(batch: Batch) -> jax.Array:
    """The images, each with its border pixels repeated as far as its array goes; for steps that look around a pixel."""
    image = batch.image
    if batch.size is None:
        return image
    last = batch.size[:, :, None] - 1
    rows, columns = (jnp.minimum(jnp.arange(image.shape[axis])[None], last[:, axis - 1]) for axis in (1, 2))
    image = jax.vmap(lambda one, row: one[row])(image, rows)
    return jax.vmap(lambda one, column: one[:, column])(image, columns)


def chosen(keys: Keys, name: str, rate: float, batch: Batch) -> jax.Array | bool:
    """Which images a step of such a rate applies to: [B]; or all or none of them, without a draw."""
    if rate in (0.0, 1.0):
        return rate == 1.0
    return jax.random.bernoulli(keys(name), rate, (len(batch.image),))


def where(images: jax.Array | bool, yes: jax.Array, no: jax.Array) -> jax.Array:
    """``yes`` for these images of the batch, [B] or all or none, and ``no`` for the others."""
    if isinstance(images, bool):
        return yes if images else no
    return jnp.where(images.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def uniform(key: jax.Array, count: int, bounds: typing.Sequence[typing.Any]) -> jax.Array:
    """[B] between two bounds."""
    return jax.random.uniform(key, (count,), minval=bounds[0], maxval=bounds[1])


def check_range(name: str, value: typing.Any, *, lowest: float = 0.0, highest: float = math.inf) -> None:
    """Raises ValueError if this is no pair of finite numbers in order, between these bounds."""
    pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(bound, numbers.Real) for bound in value)
    if not pair or not lowest <= value[0] <= value[1] <= highest or math.isinf(value[1]):
        most = f" to {highest:g}" if highest < math.inf else " on"
        raise ValueError(f"{name} must be two numbers from {lowest:g}{most}, lowest first; got {value!r}")


def check_number(name: str, value: typing.Any, lowest: float, highest: float) -> None:
    """Raises ValueError if this is no number between these bounds."""
    if not isinstance(value, numbers.Real) or not lowest <= value <= highest:
        raise ValueError(f"{name} must be a number from {lowest:g} to {highest:g}, got {value!r}")


def check_share(name: str, value: typing.Any) -> None:
    """Raises ValueError if this is no number from 0 to 1."""
    check_number(name, value, 0, 1)


def check_known(name: str, value: typing.Any, known: typing.Sequence[typing.Any]) -> None:
    """Raises ValueError if this is none of the known values."""
    if value not in known:
        raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
