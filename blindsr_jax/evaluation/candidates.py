"""Entrants: the models that are scored on the same trials, of which each is a method of the report."""

from __future__ import annotations

import dataclasses
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.restorations import BLIND, Methods
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.solver import Pipeline


class Entrant(typing.NamedTuple):
    """A model, how it restores, and what its methods are called: see ``name_of``."""

    name: str
    model: Model | Pipeline
    methods: Methods


def entrants_of(
    model: Model | Pipeline,
    methods: Methods,
    name: str,
    beside: typing.Mapping[str, Model | Pipeline],
    protocol: Protocol,
) -> list[Entrant]:
    """The models of an evaluation, the one that it is about first.

    Args:
      model, methods, name: of that one.
      beside: the others by name. They use their own estimates; of the methods they share self-ensemble alone.
      protocol: of the tests. Where its images wrap around, pipelines are told so.

    Raises:
      DataError: a model cannot do what is asked, is of another scale than the tests, or two have one name; or others
        stand beside a sweep.
    """
    if name in beside:
        raise DataError(f"two models are called {name}: rename a file, so that the report can tell them apart")
    if beside and methods.sweep:
        raise DataError("a sweep over unfolded steps is about one model: leave it out, or the models beside it")
    alone = Methods(self_ensemble=methods.self_ensemble)
    entrants = [Entrant(name, model, methods), *(Entrant(label, other, alone) for label, other in beside.items())]
    border = "circular" if protocol.blur_mode == "circular" else "reflect"
    for i, entrant in enumerate(entrants):
        if entrant.model.scale != protocol.scale:
            raise DataError(
                f"{entrant.name} works at scale {entrant.model.scale}, the tests are of scale {protocol.scale}: "
                "all models of a report must have one scale"
            )
        entrant.methods.check(entrant.model)
        if isinstance(entrant.model, Pipeline):
            entrants[i] = entrant._replace(model=dataclasses.replace(entrant.model, border=border))
    return entrants


def name_of(method: str, entrant: str) -> str:
    """What a method of an entrant is called in the report: by the entrant's name where it uses its own estimate.

    >>> name_of("blind", "kernelnet.safetensors+dpir-tv"), name_of("true kernel", "kernelnet.safetensors+dpir-tv")
    ('kernelnet.safetensors+dpir-tv', 'kernelnet.safetensors+dpir-tv, true kernel')
    >>> name_of("true kernel", "blind")
    'true kernel'
    """
    if method == BLIND:
        return entrant
    return method if entrant == BLIND else f"{entrant}, {method}"
