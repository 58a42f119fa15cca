"""Kernel samplers by name, and ``Kernels``: a sampler with its options as a plain value.

A sampler is a function (key, count, *, size, ...) -> kernels [count, K, K]. ``@register_sampler("its_name")`` registers
your own sampler for configs, protocols and ``blindsr degrade``. If it has an argument ``pool``, it gets the run's pool.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing

import jax

from blindsr_jax.degradations import kernel_mixtures, kernels, photo_kernels, realdan_kernels
from blindsr_jax.degradations.registry import registering
from blindsr_jax.errors import InputError

Sampler = typing.Callable[..., jax.Array]
SAMPLERS: dict[str, Sampler] = {}
_SamplerFunction = typing.TypeVar("_SamplerFunction", bound=Sampler)


def register_sampler(name: str) -> typing.Callable[[_SamplerFunction], _SamplerFunction]:
    """Register a function as a kernel sampler with this name.

    The function has the signature (key, count, *, size, **options) -> [count, K, K], where K is ``size``. Each kernel
    is a correlation kernel with a sum of one. The call is traced by ``jax.jit``; ``count`` and ``size`` are static. A
    function with an argument ``pool`` also gets the run's pool [N, K, K], or None.

    Args:
      name: what configs, protocols and ``blindsr degrade`` call it.

    Raises:
      InputError: the package has a sampler of that name.
    """
    return registering(SAMPLERS, "kernel sampler", name)


SAMPLERS |= {
    "isotropic": kernels.sample_isotropic,
    "anisotropic": kernels.sample_anisotropic,
    "photo": photo_kernels.sample_photo,
    "motion": photo_kernels.sample_motion,
    "real_esrgan": kernel_mixtures.sample_real_esrgan,
    "realdan": realdan_kernels.sample_realdan,
    "kerneldan": realdan_kernels.sample_kerneldan,
    "sinc": realdan_kernels.sample_sinc,
    "bsrgan": kernel_mixtures.sample_bsrgan,
    "bsrgan_down": kernel_mixtures.sample_bsrgan_down,
}
# What the kernels of a sampler are made of, [B, n] with values from 0 to 1: functions of the sampler's arguments.
_DESCRIPTIONS: dict[str, typing.Callable[..., jax.Array]] = {
    "realdan": realdan_kernels.describe_realdan,
    "kerneldan": realdan_kernels.describe_kerneldan,
    "sinc": realdan_kernels.describe_sinc,
}


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
        known, given = options_of(self.sampler), dict(self.options)
        unknown = [name for name in given if name not in known]
        if unknown:
            raise InputError(
                f"kernels {self.sampler!r} have no option {', '.join(unknown)}; they have {', '.join(known)}"
            )
        missing = [name for name, default in known.items() if default is inspect.Parameter.empty and name not in given]
        missing = [name for name in missing if name != "size"]
        if missing:
            raise InputError(f"kernels {self.sampler!r} need the option {', '.join(missing)}")

    def draw(self, key: jax.Array, count: int, *, size: int, pool: jax.Array | None = None) -> jax.Array:
        """Draw kernels [count, K, K]; ``size`` is K unless the options set it.

        Raises:
          InputError: the sampler does not accept its options.
        """
        options = {"size": size, **dict(self.options)}
        if "pool" in inspect.signature(SAMPLERS[self.sampler]).parameters:
            options["pool"] = pool
        try:
            return SAMPLERS[self.sampler](key, count, **options)
        except TypeError as error:
            raise InputError(f"kernels {self.sampler!r} with {dict(self.options)}: {error}") from error

    def description(self, key: jax.Array, count: int, *, size: int) -> jax.Array | None:
        """The numbers [count, n] that kernels drawn with this key are made of, if the sampler has such numbers."""
        if self.sampler not in _DESCRIPTIONS:
            return None
        options = options_of(self.sampler) | {"size": size} | dict(self.options)
        return _DESCRIPTIONS[self.sampler](key, count, **options)


def kernels_of(sampler: str, **options: typing.Any) -> Kernels:
    """Make ``Kernels`` from keyword arguments; lists become tuples, so that the value is hashable.

    Raises:
      InputError: there is no such sampler or option.
    """
    return Kernels(sampler, tuple((name, _hashable(value)) for name, value in sorted(options.items())))


def options_of(sampler: str) -> dict[str, typing.Any]:
    """The keyword arguments of a sampler that a caller may set, with their defaults.

    Raises:
      InputError: there is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise InputError(f"kernel must be an array or one of {', '.join(SAMPLERS)}; got {sampler!r}")
    parameters = inspect.signature(SAMPLERS[sampler]).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in _GIVEN}


_GIVEN = ("key", "count", "pool")


def _hashable(value: typing.Any) -> typing.Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
