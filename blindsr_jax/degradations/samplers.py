"""Kernel samplers by name, and ``Kernels``: a sampler with its options as a plain value.

A sampler is a function (key, count, *, size, ...) -> kernels [count, K, K]; ``@register_sampler("its_name")`` makes one
of your own known to configs, protocols and ``blindsr degrade``. A sampler with an argument ``pool`` gets the run's.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing

import jax

from blindsr_jax.degradations import kernel_mixtures, kernels, photo_kernels
from blindsr_jax.errors import InputError

Sampler = typing.Callable[..., jax.Array]
SAMPLERS: dict[str, Sampler] = {}
_SamplerFunction = typing.TypeVar("_SamplerFunction", bound=Sampler)


def register_sampler(name: str) -> typing.Callable[[_SamplerFunction], _SamplerFunction]:
    """Makes a function known as a kernel sampler by this name."""

    def register(sampler: _SamplerFunction) -> _SamplerFunction:
        SAMPLERS[name] = sampler
        return sampler

    return register


for _name, _sampler in {
    "isotropic": kernels.sample_isotropic,
    "anisotropic": kernels.sample_anisotropic,
    "photo": photo_kernels.sample_photo,
    "motion": photo_kernels.sample_motion,
    "real_esrgan": kernel_mixtures.sample_real_esrgan,
    "realdan": kernel_mixtures.sample_realdan,
    "sinc": kernel_mixtures.sample_sinc,
    "bsrgan": kernel_mixtures.sample_bsrgan,
    "bsrgan_down": kernel_mixtures.sample_bsrgan_down,
}.items():
    register_sampler(_name)(_sampler)


@register_sampler("pool")
def _sample_pool(key: jax.Array, count: int, *, size: int, pool: jax.Array | None) -> jax.Array:
    if pool is None:
        raise InputError("kernel 'pool' draws from kernels [N, K, K]: give them as pool")
    return kernels.sample_pool(key, count, pool)


@dataclasses.dataclass(frozen=True)
class Kernels:
    """A sampler of kernels and its options.

    Attributes:
      sampler: a name in ``SAMPLERS``.
      options: names and values of the sampler's keyword arguments, sorted; see ``kernels_of``.
    """

    sampler: str
    options: tuple[tuple[str, typing.Any], ...] = ()

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            known = ", ".join(SAMPLERS)
            raise InputError(f"kernel must be an array or one of {known}; got {self.sampler!r}")
        unknown = [name for name, _ in self.options if name not in options_of(self.sampler)]
        if unknown:
            known = ", ".join(options_of(self.sampler))
            raise InputError(f"kernels {self.sampler!r} have no option {', '.join(unknown)}; they have {known}")

    def draw(self, key: jax.Array, count: int, *, size: int, pool: jax.Array | None = None) -> jax.Array:
        """Kernels [count, K, K]; ``size`` is K where the options do not say it."""
        options = {"size": size, **dict(self.options)}
        if "pool" in inspect.signature(SAMPLERS[self.sampler]).parameters:
            options["pool"] = pool
        return SAMPLERS[self.sampler](key, count, **options)


def kernels_of(sampler: str, **options: typing.Any) -> Kernels:
    """``Kernels`` from keyword arguments; lists become tuples, so that the value is hashable.

    Raises:
      InputError: there is no such sampler or option.
    """
    return Kernels(sampler, tuple((name, _hashable(value)) for name, value in sorted(options.items())))


@functools.cache
def options_of(sampler: str) -> tuple[str, ...]:
    """The names of the keyword arguments of a sampler that a caller may set."""
    return tuple(name for name in inspect.signature(SAMPLERS[sampler]).parameters if name not in _GIVEN)


_GIVEN = ("key", "count", "pool")


def _hashable(value: typing.Any) -> typing.Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
