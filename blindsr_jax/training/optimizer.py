"""Optimisers with the papers' schedules and a learning rate for each of a network's parameter groups."""

from __future__ import annotations

import itertools
import typing

import jax
import optax
import optax.contrib

Kind = typing.Literal["adam", "muon"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)


def learning_rate_schedule(
    peak: float,
    *,
    schedule: typing.Literal["halve", "cosine"],
    steps: int,
    halve_every: int,
    halve_at: typing.Sequence[int] = (),
    warmup: int = 0,
) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
      peak: the rate after warm-up.
      schedule: ``halve`` halves the rate every ``halve_every`` steps (both DAN papers); ``cosine`` decays it to zero at
        ``steps``.
      steps: length of the run.
      halve_every: see ``schedule``.
      halve_at: steps at which ``halve`` halves the rate, in place of every ``halve_every``; empty for those.
      warmup: number of steps of linear increase from zero. The schedule runs during the warm-up too.
    """
    if schedule == "halve" and halve_at:
        main = optax.piecewise_constant_schedule(peak, dict.fromkeys(halve_at, 0.5))
    elif schedule == "halve":
        main = optax.exponential_decay(peak, halve_every, 0.5, staircase=True)
    else:
        main = optax.cosine_decay_schedule(peak, steps)
    if not warmup:
        return main
    return lambda step: main(step) * optax.linear_schedule(0.0, 1.0, warmup)(step)


def restarting_schedule(
    peak: float, ends: typing.Sequence[int], *, trained: int | None = None, **options: typing.Any
) -> optax.Schedule:
    """Learning rate of a run in stages. The schedule restarts at each stage.

    Args:
      peak: the rate after warm-up.
      ends: the last step of each stage.
      trained: the number of first stages with this rate; it is zero in the others. None for all.
      **options: options of ``learning_rate_schedule`` other than ``steps``.
    """
    lengths = [end - start for start, end in itertools.pairwise([0, *ends])]
    peaks = [peak if trained is None or i < trained else 0.0 for i in range(len(lengths))]
    stages = [learning_rate_schedule(rate, steps=n, **options) for rate, n in zip(peaks, lengths)]
    return optax.join_schedules(stages, list(ends[:-1]))


def make_optimizer(
    rates: typing.Mapping[str, optax.ScalarOrSchedule],
    groups: typing.Mapping[str, str],
    *,
    kind: Kind = "adam",
    b1: float = 0.9,
    b2: float = 0.99,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) or Muon (Jordan, 2024) with a learning rate for each group of parameters.

    Args:
      rates: learning rate of each group. Every group has an optimiser state under its name, even without parameters.
      groups: the group of the parameters below each top-level name; the first group for names that are missing.
      kind: ``muon`` orthogonalises the updates of convolution kernels and scales them to the size of Adam's (Liu et
        al., 2025, arXiv:2502.16982), so that Adam's learning rates fit. Adam with Nesterov momentum updates
        all other parameters.
      b1, b2: decay of the first and second moment of Adam.
      clip_norm: gradients are first scaled down to this global norm; 0 disables clipping.
    """
    first = next(iter(rates))
    of_groups = optax.partition(
        {name: _OPTIMIZERS[kind](rate, b1, b2) for name, rate in rates.items()},
        lambda params: {name: groups.get(name, first) for name in params},
    )
    # The chain has two links with or without clipping, so that a resumed run can switch it on or off.
    return optax.chain(optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity(), of_groups)


def _adam(rate: optax.ScalarOrSchedule, b1: float, b2: float) -> optax.GradientTransformation:
    return optax.adam(rate, b1=b1, b2=b2)


def _muon(rate: optax.ScalarOrSchedule, b1: float, b2: float) -> optax.GradientTransformation:
    return optax.contrib.muon(rate, adam_b1=b1, adam_b2=b2, muon_weight_dimension_numbers=_matrices, consistent_rms=0.2)


def _matrices(params: optax.Params) -> optax.Params:
    """The matrix of each convolution kernel [..., h, w, in, out]: its rows are h, w and in. None for other arrays."""
    kernel = optax.contrib.MuonDimensionNumbers(reduction_axis=(-4, -3, -2), output_axis=-1)
    return jax.tree.map(lambda x: kernel if x.ndim >= 4 else None, params)


_OPTIMIZERS = {"adam": _adam, "muon": _muon}
