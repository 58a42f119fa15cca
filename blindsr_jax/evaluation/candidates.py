"""Candidates: models that are scored on the same samples. Each is a method of the report."""

from __future__ import annotations

import typing

from blindsr_jax.errors import UsageError
from blindsr_jax.evaluation.methods import BLIND, Methods
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.inference.restorer import Restorer


class Candidate(typing.NamedTuple):
    """A model with its methods, and its name in the report: see ``name_of``."""

    name: str
    model: Restorer
    methods: Methods


def candidates_of(
    model: Restorer,
    methods: Methods,
    name: str,
    beside: typing.Mapping[str, Restorer],
    protocol: Protocol,
) -> list[Candidate]:
    """List the models of an evaluation, the main one first.

    Args:
      model, methods, name: the main model.
      beside: models to compare with, by name. They use their own estimates, and share only
        ``self_ensemble`` and ``back_project`` of ``methods``.
      protocol: the tests' protocol. If its images wrap around, models that use an FFT treat them so.

    Raises:
      DataError: a model does not support its methods, has another scale than the tests, or has the name of another;
        or there are several models and a sweep.
    """
    if name in beside:
        raise UsageError(f"two models are called {name}: rename a file, so that the report can tell them apart")
    if beside and methods.sweep:
        raise UsageError("a sweep over unfolded steps takes a single model: leave out the sweep or the other models")
    alone = Methods(self_ensemble=methods.self_ensemble, back_project=methods.back_project)
    candidates = [Candidate(name, model, methods), *(Candidate(label, other, alone) for label, other in beside.items())]
    border: typing.Literal["circular", "reflect"] = "circular" if protocol.blur_mode == "circular" else "reflect"
    for i, candidate in enumerate(candidates):
        if candidate.model.scale != protocol.scale:
            raise UsageError(
                f"{candidate.name} works at scale {candidate.model.scale}, the tests are of scale {protocol.scale}: "
                "all models of a report must have one scale"
            )
        candidate.methods.check(candidate.model)
        candidates[i] = candidate._replace(model=candidate.model.with_border(border))
    return candidates


def name_of(method: str, candidate: str) -> str:
    """Name a candidate's method in the report: a method that uses its own estimate has the candidate's name.

    >>> name_of("blind", "kernelnet.safetensors+dpir-tv"), name_of("true kernel", "kernelnet.safetensors+dpir-tv")
    ('kernelnet.safetensors+dpir-tv', 'kernelnet.safetensors+dpir-tv, true kernel')
    >>> name_of("true kernel", "blind")
    'true kernel'
    """
    if method == BLIND:
        return candidate
    return method if candidate == BLIND else f"{candidate}, {method}"
