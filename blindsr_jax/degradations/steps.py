"""The common parts of a degradation's steps: the batch that they transform, its random keys, and the registry of steps.

A step is called with a batch, random keys and the task, and returns the batch for the next step. Your own step is a
frozen dataclass with such a ``__call__`` and the decorator ``@register_step("its_name")``. The steps are in
``blur_steps``, ``size_steps``, ``noise_steps``, ``file_steps`` and ``choice_steps``. Ready-made sequences of steps are
in ``orders`` and ``published_orders``. ``notation`` reads and writes them as text.
"""

from __future__ import annotations

import math
import numbers
import typing
import zlib

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.registry import registering
from blindsr_jax.errors import InputError

Range = tuple[float, float]
Drawn = typing.Mapping[str, tuple[jax.Array, ...]]
NO_JPEG = 100.0  # quality of images that have never been compressed


class Batch(typing.NamedTuple):
    """Images on their way through the steps of a degradation.

    Attributes:
      image: [B, H, W, C] in [0, 1]; steps may leave that range.
      size: [B, 2], height and width of each image, if images fill only the upper left part of ``image``; pixels beyond
        have no meaning. None if every image fills its array.
      kernel: [B, K, K], the kernels of the first blur; None before it.
      sigma: [B], standard deviation of the noise in [0, 1]. Blur and resizing change it as they change white noise;
        sharpening and compression do not change it.
      quality: [B], the lowest JPEG quality so far; 100 without compression.
      drawn: the values that steps have drawn and recorded, see ``recorded``.
    """

    image: jax.Array
    size: jax.Array | None
    kernel: jax.Array | None
    sigma: jax.Array
    quality: jax.Array
    drawn: Drawn = {}  # noqa: RUF012  # never changed in place


class Task(typing.NamedTuple):
    """Facts that all steps of a degradation share.

    Attributes:
      scale: s.
      lr_size: height and width of the LR images.
      pool: [N, K, K], the kernels that the sampler ``pool`` draws from, or None.
      kernel_size: K of samplers whose options do not set it.
    """

    scale: int
    lr_size: tuple[int, int]
    pool: jax.Array | None = None
    kernel_size: int = 21


class Keys:
    """The random keys of one batch by name.

    Every request gets a new key, which depends on the name and on the number of earlier requests for it. Adding a step
    with other names to a degradation thus does not change the draws of its other steps. The first keys for ``kernel``,
    ``level`` and ``noise`` come from a split of the batch's key, which keeps the draws of older runs.

    Args:
      key: PRNG key of the batch.
    """

    _FIRST = ("kernel", "level", "noise")

    def __init__(self, key: jax.Array):
        self._key = key
        self._split = dict(zip(self._FIRST, jax.random.split(key, len(self._FIRST))))
        self._requests: dict[str, int] = {}

    def __call__(self, name: str) -> jax.Array:
        """The next key for this name."""
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
    """Register a class as a step with this name.

    The class is a frozen dataclass. Its fields are the step's options; they have plain Python values, and defaults
    where a step may be written without them. Its instances are called with (batch, keys, task) and return the new
    batch: ``Batch`` has the images, ``Keys`` gives random keys by name, ``Task`` has the scale and the size of LR
    images. The call is traced by ``jax.jit``. It should use a draw for each image.

    Args:
      name: what configs, protocols and ``blindsr degrade --steps`` call it.

    Raises:
      InputError: the package has a step of that name.
    """

    def register(step: _StepClass) -> _StepClass:
        step.name = name  # type: ignore[attr-defined]  # a class gets its name here
        return registering(STEPS, "step", name)(step)

    return register


def run_steps(steps: Steps, batch: Batch, keys: Keys, task: Task) -> Batch:
    """Apply all steps in order.

    Raises:
      InputError: a step raises ValueError; the message names the step.
    """
    for step in steps:
        try:
            batch = step(batch, keys, task)
        except ValueError as error:
            raise InputError(f"{getattr(step, 'name', type(step).__name__)}: {error}") from error
    return batch


def recorded(batch: Batch, **values: jax.Array | bool) -> Batch:
    """Record values that a step has drawn, for networks that learn to find them (RealDAN).

    Args:
      batch: the batch.
      **values: by name, [B] or [B, n], or a bool for all images; numbers from 0 to 1. They follow earlier values of
        that name. Values without effect on an image are 0, and so are those of branches that it did not take.
    """
    drawn = dict(batch.drawn)
    for name, value in values.items():
        array = jnp.asarray(value, jnp.float32)
        drawn[name] = (*drawn.get(name, ()), array if array.ndim else jnp.full(len(batch.image), array))
    return batch._replace(drawn=drawn)


def share_of(value: jax.Array, bounds: typing.Sequence[float]) -> jax.Array:
    """Return where values lie between two bounds, from 0 to 1; 0 where the bounds are equal."""
    low, high = bounds
    return (value - low) / (high - low) if high > low else jnp.zeros_like(value)


def full_size(batch: Batch) -> jax.Array:
    """Height and width of each image: int32 [B, 2]."""
    if batch.size is not None:
        return batch.size
    return jnp.broadcast_to(jnp.array(batch.image.shape[1:3], jnp.int32), (len(batch.image), 2))


def pad_batch(batch: Batch, height: int, width: int) -> Batch:
    """Pad the batch's arrays to a larger height and width; the images stay in the upper left."""
    margins = (0, height - batch.image.shape[1]), (0, width - batch.image.shape[2])
    return batch._replace(image=jnp.pad(batch.image, ((0, 0), *margins, (0, 0))), size=full_size(batch))


def filled(batch: Batch) -> jax.Array:
    """Repeat each image's border pixels to the end of its array, for steps that read a pixel's neighbourhood."""
    image = batch.image
    if batch.size is None:
        return image
    last = batch.size[:, :, None] - 1
    rows, columns = (jnp.minimum(jnp.arange(image.shape[axis])[None], last[:, axis - 1]) for axis in (1, 2))
    image = jax.vmap(lambda one, row: one[row])(image, rows)
    return jax.vmap(lambda one, column: one[:, column])(image, columns)


def chosen(keys: Keys, name: str, rate: float, batch: Batch) -> jax.Array | bool:
    """Draw the images that a step with this rate applies to: [B]. Rates 0 and 1 give a bool without a draw."""
    if rate in (0.0, 1.0):
        return rate == 1.0
    return jax.random.bernoulli(keys(name), rate, (len(batch.image),))


def where(images: jax.Array | bool, yes: jax.Array, no: jax.Array) -> jax.Array:
    """Select ``yes`` for these images of the batch, [B] or a bool for all, and ``no`` for the others."""
    if isinstance(images, bool):
        return yes if images else no
    return jnp.where(images.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def uniform(key: jax.Array, count: int, bounds: typing.Sequence[typing.Any]) -> jax.Array:
    """Draw [count] uniform values between two bounds."""
    return jax.random.uniform(key, (count,), minval=bounds[0], maxval=bounds[1])


def check_range(name: str, value: typing.Any, *, lowest: float = 0.0, highest: float = math.inf) -> None:
    """Raise ValueError unless the value is an ascending pair of finite numbers within the bounds."""
    pair = isinstance(value, tuple) and len(value) == 2 and all(isinstance(bound, numbers.Real) for bound in value)
    if not pair or not lowest <= value[0] <= value[1] <= highest or math.isinf(value[1]):
        most = f" to {highest:g}" if highest < math.inf else " on"
        raise InputError(f"{name} must be two numbers from {lowest:g}{most}, lowest first; got {value!r}")


def check_number(name: str, value: typing.Any, lowest: float, highest: float) -> None:
    """Raise ValueError unless the value is a number within the bounds."""
    known = isinstance(value, numbers.Real)
    if not known or not lowest <= value <= highest:
        raise InputError(f"{name} must be a number from {lowest:g} to {highest:g}, got {value!r}")


def check_share(name: str, value: typing.Any) -> None:
    """Raise ValueError unless the value is a number from 0 to 1."""
    check_number(name, value, 0, 1)


def check_known(name: str, value: typing.Any, known: typing.Sequence[typing.Any]) -> None:
    """Raise ValueError unless the value is one of the known values."""
    if value not in known:
        raise InputError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")
