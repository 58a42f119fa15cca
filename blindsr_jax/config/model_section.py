"""The model section of a config, made from the network's definition."""

from __future__ import annotations

import inspect
import typing

from blindsr_jax.errors import ConfigError
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import MODELS, build, sizes_of

DRAWN_SIZE = 21  # K of kernels that are drawn
_SCALES = (1, 2, 3, 4)  # scales of a network that does not declare its own
_FROM_CONFIG = ("scale", "kernel_size")  # sizes that other fields of a config hold


def example_network(name: str, scale: int | None = None) -> Network:
    """Build a network with the sizes of its paper.

    Args:
      name: a key of ``networks.MODELS``.
      scale: s. If it is None or not supported by the network, the network's first scale is used.

    Raises:
      ConfigError: a size other than scale and kernel size has no default.
    """
    sizes = sizes_of(name)
    needed = [size for size, known in sizes.items() if known.default is inspect.Parameter.empty]
    without = ", ".join(size for size in needed if size not in _FROM_CONFIG)
    if without:
        raise ConfigError(f"model {name!r} cannot be configured: give {without} a default in its definition")
    given: dict[str, int] = {}
    if "scale" in sizes:
        allowed = scales_of_model(name)
        given["scale"] = scale if scale in allowed else allowed[0]
    if "kernel_size" in needed:
        given["kernel_size"] = DRAWN_SIZE
    return build(name, **given)


def scales_of_model(name: str) -> tuple[int, ...]:
    """The allowed values of ``config.model.scale``.

    Args:
      name: a key of ``networks.MODELS``.
    """
    sizes = sizes_of(name)
    return sizes["scale"].allowed or _SCALES if "scale" in sizes else build(name).validation_scales


def model_section(name: str, network: Network) -> dict[str, typing.Any]:
    """The model section of a config, without the scale: the network's sizes and the settings of its training.

    Args:
      name: a key of ``networks.MODELS``.
      network: that network.

    Returns:
      Sizes with their defaults, except the kernel size, which belongs to ``config.degradation``. If they apply to the
      network, also ``supervise``, the steps that the loss uses; the weights of the loss's terms; the number of steps of
      the first stage; and ``scales``, one of which is drawn for each batch.
    """
    section: dict[str, typing.Any] = {"name": name}
    section |= {size: known.default for size, known in sizes_of(name).items() if size not in _FROM_CONFIG}
    if network.supervise:
        section["supervise"] = network.supervise[0]
    section |= loss_weights(network)
    if network.first_stage:
        section[network.first_stage.field] = network.first_stage.steps
    if network.scales:
        section["scales"] = network.scales
    return section


def loss_weights(network: Network) -> dict[str, float]:
    """The weights of the terms of a network's loss, with their defaults."""
    parameters = inspect.signature(LOSSES[network.supervision]).parameters.values()
    return {weight.name: weight.default for weight in parameters if weight.kind is weight.KEYWORD_ONLY}


def trained_models() -> list[str]:
    """The names of all networks that a config can name."""

    def is_trained(name: str) -> bool:
        try:
            return bool(example_network(name).supervision)
        except ConfigError:
            return False

    return list(filter(is_trained, MODELS))
