"""What a gradient stores of the forward pass, and what it computes again: memory for time."""

from __future__ import annotations

import contextlib
import contextvars
import typing

import jax

from blindsr_jax.ops.convolution import CONVOLUTION

Recompute = typing.Literal["nothing", "activations", "blocks"]
_RECOMPUTE: contextvars.ContextVar[Recompute] = contextvars.ContextVar("recompute", default="nothing")
Part = typing.Callable[..., typing.Any]
_TOGETHER = 4  # the memory of 40 blocks is least if it stores what is between groups of 3 to 5


@contextlib.contextmanager
def recomputing(what: Recompute) -> typing.Iterator[None]:
    """What is computed again in the backward pass of networks traced inside, instead of stored in the forward.

    Args:
      what: ``nothing``; ``activations``: all but the convolutions' results, for next to no time; ``blocks``: all but
        the features between groups of four blocks of a ``Chain``, and between steps where several are supervised, for
        the time of another forward pass.
    """
    token = _RECOMPUTE.set(what)
    try:
        yield
    finally:
        _RECOMPUTE.reset(token)


def blocks_together() -> int:
    """So many blocks make a part between stored features."""
    return _TOGETHER if _RECOMPUTE.get() == "blocks" else 1


def stored_as_told(part: Part, checkpoint: typing.Callable[..., Part] = jax.checkpoint) -> Part:
    """A part of a network that stores what ``recomputing`` says.

    Args:
      part: a function of arrays; of a module and arrays with ``nn.remat``.
      checkpoint: what is wrapped around it, with a policy.
    """
    what = _RECOMPUTE.get()
    if what == "nothing":
        return part
    convolutions = jax.checkpoint_policies.save_only_these_names(CONVOLUTION)
    return checkpoint(part, policy=convolutions if what == "activations" else None, prevent_cse=False)
