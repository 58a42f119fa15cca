"""Names of networks, and how one is built from plain values: a config's or a bundle's."""

from __future__ import annotations

import inspect
import math
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.errors import ConfigError
from blindsr_jax.networks.dan_v1 import build_dan_v1
from blindsr_jax.networks.dan_v2 import build_dan_v2
from blindsr_jax.networks.dasr import DASR
from blindsr_jax.networks.dcls import DCLS
from blindsr_jax.networks.dpir import build_dpir
from blindsr_jax.networks.drunet import DRUNet
from blindsr_jax.networks.dssr import DSSR
from blindsr_jax.networks.fixed_gaussian import FixedGaussian
from blindsr_jax.networks.ikc import build_ikc
from blindsr_jax.networks.kernelnet import KernelNet
from blindsr_jax.networks.model_based import ModelBased
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.real_dan import KernelDAN, RealDAN
from blindsr_jax.networks.usrnet import USRNet

Builder = typing.Callable[..., Network]

MODELS: dict[str, Builder] = {
    "danv1": build_dan_v1,
    "danv2": build_dan_v2,
    "dssr": DSSR,
    "dcls": DCLS,
    "dasr": DASR,
    "ikc": build_ikc,
    "kerneldan": KernelDAN,
    "realdan": RealDAN,
    "kernelnet": KernelNet,
    "fixed_gaussian": FixedGaussian,
    "model_based": ModelBased,
    "usrnet": USRNet,
    "drunet": DRUNet,
    "dpir": build_dpir,
}

_OURS = "blindsr_jax."
_NO_SIZES = ("compute", "parent", "name")  # fields of every network
_MAY_BE_ZERO = {"seed", "back_projections"}  # options of learners; other whole numbers are sizes
_BuilderType = typing.TypeVar("_BuilderType", bound=Builder)


class Size(typing.NamedTuple):
    """A size of a network: a field of its class, or an argument of its builder.

    Attributes:
      default: ``inspect.Parameter.empty`` if it must be given.
      allowed: its values, or those of its elements, where a ``typing.Literal`` says them; else empty.
    """

    default: typing.Any
    allowed: tuple[typing.Any, ...]


def register(name: str) -> typing.Callable[[_BuilderType], _BuilderType]:
    """Makes a network of your own known by a name to configs, commands and bundles.

    Args:
      name: what ``config.model.name`` and bundles call it. A later definition of your own replaces an earlier one.

    Returns:
      A decorator of a subclass of ``Network``, whose fields are its sizes, or of a function from sizes to a network.

    Raises:
      ConfigError: the package has a network of that name.
    """

    def add(builder: _BuilderType) -> _BuilderType:
        if name in MODELS and MODELS[name].__module__.startswith(_OURS):
            raise ConfigError(f"{name!r} is a network of this package: register yours by another name")
        MODELS[name] = builder
        return builder

    return add


def module_of(name: str) -> str | None:
    """The Python module that registered a network of the user's own; None for the networks of this package."""
    module = MODELS[name].__module__
    return None if module.startswith(_OURS) else module


def sizes_of(name: str) -> dict[str, Size]:
    """The sizes of a network, by name.

    Raises:
      ConfigError: there is no such network.
    """
    if name not in MODELS:
        raise ConfigError(
            f"there is no model {name!r}; known are {', '.join(sorted(MODELS))}. A network of your own is known when "
            "the module that registers it (blindsr_jax.networks.register) is imported"
        )
    return _sizes(MODELS[name])


def _sizes(builder: Builder) -> dict[str, Size]:
    hints, parameters = _hints(builder), inspect.signature(builder).parameters
    return {
        size: Size(parameter.default, _literals(hints.get(size)))
        for size, parameter in parameters.items()
        if size not in _NO_SIZES
    }


def build(name: str, **sizes: typing.Any) -> Network:
    """A network from its name and sizes.

    Args:
      name: a key of ``MODELS``.
      **sizes: fields of that network or arguments of its builder; those left out have the paper's values.

    Returns:
      The unbound flax module.

    Raises:
      ConfigError: the name, a size's name or its value is not one the model has.
    """
    sizes_of(name)  # raises if there is no such network
    return build_checked(name, MODELS[name], sizes)


def build_checked(name: str, builder: Builder, sizes: typing.Mapping[str, typing.Any]) -> Network:
    """A network from its builder and sizes, checked against the builder's arguments.

    Raises:
      ConfigError: a size's name or its value is not one the network has.
    """
    known = _sizes(builder)
    unknown = sorted(set(sizes) - set(known))
    if unknown:
        raise ConfigError(f"model {name!r} has no {', '.join(unknown)}; it has {', '.join(known)}")
    for size, value in sizes.items():
        _check_size(name, size, value, known[size])
    return builder(**{size: tuple(value) if isinstance(value, list) else value for size, value in sizes.items()})


def init_variables(
    model: nn.Module, key: jax.Array, pca_basis: jax.typing.ArrayLike | None = None
) -> dict[str, typing.Any]:
    """Fresh variables: ``params`` drawn from the key, and ``constants``, which may be empty.

    Args:
      model: the network.
      key: PRNG key.
      pca_basis: [K², L] for networks that have one; zeros if it is not given.
    """
    variables = {"params": {}, "constants": {}} | model.init(key, **model.example())
    if pca_basis is not None:
        variables["constants"] = {"pca_basis": jnp.asarray(pca_basis)}
    return variables


def _hints(builder: Builder) -> dict[str, typing.Any]:
    try:
        return typing.get_type_hints(builder)
    except NameError:  # a name that is imported for type checkers alone: values are then checked by their defaults
        return {}


def _literals(hint: typing.Any) -> tuple[typing.Any, ...]:
    """The values of a ``Literal``, or of a sequence of them."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return next((typing.get_args(part) for part in typing.get_args(hint)[:1] if _literals(part)), ())


def _check_size(model: str, size: str, value: typing.Any, known: Size) -> None:
    """A size must be an allowed value, or of its default's kind."""
    default, several = known.default, isinstance(known.default, tuple)
    if known.allowed:
        values = value if several else [value]
        sound = isinstance(values, list | tuple) and all(_is_one_of(x, known.allowed) for x in values)
        if not sound:
            raise ConfigError(f"{size} of model {model!r} must be {', '.join(map(str, known.allowed))}, not {value}")
        return
    if isinstance(default, str) or default == ():
        return
    if isinstance(default, bool):
        sound, wanted = isinstance(value, bool), "True or False"
    elif isinstance(default, float):
        sound, wanted = type(value) in (int, float) and 0 < value < math.inf, "a positive number"
    elif several:
        sound = isinstance(value, list | tuple) and len(value) >= 2 and all(map(_is_count, value))
        wanted = f"a list of positive whole numbers, at least two, such as {list(default)}"
    else:
        least = 0 if size in _MAY_BE_ZERO else 1
        sound, wanted = type(value) is int and value >= least, f"a whole number of at least {least}"
    if not sound:
        raise ConfigError(f"{size} of model {model!r} must be {wanted}, got {value!r}")


def _is_one_of(value: typing.Any, allowed: tuple[typing.Any, ...]) -> bool:
    return any(type(value) is type(x) and value == x for x in allowed)


def _is_count(value: typing.Any) -> bool:
    return type(value) is int and value >= 1
