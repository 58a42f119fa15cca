"""The device that scores were computed on, and what it multiplies in: both move the last digits."""

from __future__ import annotations

import typing

import jax

# JAX's default for products and convolutions of float32 arrays, by platform.
_DEFAULTS = {"tpu": "bfloat16, the default there", "gpu": "TF32 where the device has it, the default there"}


def machine() -> dict[str, str]:
    """Return the kind of JAX's first device, and the precision of products of float32 arrays on it.

    Returns:
      ``device``, as JAX names it; ``products``, ``float32`` on a CPU, whatever is asked for; elsewhere what
      ``jax_default_matmul_precision`` asks for, or what JAX does if it asks for nothing.
    """
    device = jax.devices()[0]
    asked = typing.cast(typing.Any, jax.config).jax_default_matmul_precision  # JAX 0.10 does not declare its type
    products = "float32" if device.platform == "cpu" else asked or _DEFAULTS.get(device.platform, "the default there")
    return {"device": device.device_kind, "products": products}
