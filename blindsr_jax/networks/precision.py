"""In what type a network computes: float32, or for speed on accelerators bfloat16.

Parameters, images, kernels and codes are float32 in any case, and so are the last convolutions before an image, a
kernel or a code. All other convolutions of DANs and DSSR take both operands in the type chosen here, and what is
between them follows: the features, which are most of the memory and nearly all of the work. bfloat16 has the range of
float32 and 8 significant bits; no loss has to be scaled for it.

What all pixels share (biases, gates, codes) is joined with them in float32 before the result is rounded: its gradient
is a sum over all pixels, which XLA adds up in the type of its terms, and in bfloat16 256 + 1 is 256.
"""

from __future__ import annotations

import contextlib
import contextvars
import typing

import jax.numpy as jnp

Precision = typing.Literal["float32", "bfloat16"]
_PRECISION: contextvars.ContextVar[Precision] = contextvars.ContextVar("precision", default="float32")


@contextlib.contextmanager
def computing_in(precision: Precision) -> typing.Iterator[None]:
    """The type of the convolutions of ``layers.conv`` in networks that are traced inside."""
    token = _PRECISION.set(precision)
    try:
        yield
    finally:
        _PRECISION.reset(token)


def reduced() -> typing.Any | None:
    """What convolutions are told to compute in; None for the type of their operands."""
    return jnp.bfloat16 if _PRECISION.get() == "bfloat16" else None
