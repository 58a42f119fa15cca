"""Steps that are made of other steps: one of several sequences, or all steps in a random order."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.degradations.steps import (
    Batch,
    Drawn,
    Keys,
    Step,
    Steps,
    Task,
    check_share,
    full_size,
    pad_batch,
    recorded,
    register_step,
    run_steps,
    where,
)
from blindsr_jax.errors import InputError

_MOST_SHUFFLED = 7  # most steps to shuffle: seven have 5040 orders


@register_step("one_of")
@dataclasses.dataclass(frozen=True)
class OneOf:
    """Alternative sequences of steps; one is drawn for each image. All are computed for all images.

    Attributes:
      branches: sequences of steps; an empty one leaves an image unchanged.
      shares: probability of each branch; they sum to one.
    """

    branches: tuple[Steps, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.branches, tuple) or not self.branches:
            raise InputError("one_of: branches must be one or more sequences of steps, each in parentheses")
        for branch in self.branches:
            _check_steps("one_of: each branch", branch)
        if not isinstance(self.shares, tuple) or len(self.branches) != len(self.shares):
            raise InputError(f"one_of: give one share for each of {len(self.branches)} branches, got {self.shares!r}")
        for share in self.shares:
            check_share("one_of: shares", share)
        if abs(sum(self.shares) - 1) > 1e-6:
            raise InputError(f"one_of: shares must sum to one, got {self.shares}")

    @property
    def inside(self) -> Steps:
        """All steps of all branches."""
        return tuple(itertools.chain(*self.branches))

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        place = jax.random.uniform(keys("branch"), (len(batch.image),))
        results = _alike([run_steps(branch, batch, keys, task) for branch in self.branches])
        last = len(results) - 1
        drawn, number, begin = results[last], jnp.ones_like(place), 0.0
        for i, (result, share) in enumerate(zip(results[:last], self.shares)):
            inside = (place >= begin) & (place < begin + share)
            drawn = jax.tree.map(functools.partial(where, inside), result, drawn)
            number = jnp.where(inside, i / last, number)
            begin += share
        return recorded(drawn, branch=number)


def _alike(results: list[Batch]) -> list[Batch]:
    """Pad the results of branches to the same shapes; branches without a blur get the Dirac kernel.

    Records that a branch lacks are zero.
    """
    if len({result.image.shape for result in results}) > 1 or len({result.size is None for result in results}) > 1:
        height, width = (max(result.image.shape[axis] for result in results) for axis in (1, 2))
        results = [pad_batch(result, height, width) for result in results]
    sizes = {result.kernel.shape[-1] for result in results if result.kernel is not None}
    if len(sizes) > 1:
        raise InputError(f"one_of: the kernels of its branches have {sorted(sizes)} pixels a side; give them one size")
    if sizes:
        none = dirac(sizes.pop())[None]
        results = [result if result.kernel is not None else result._replace(kernel=none) for result in results]
    drawn = [result.drawn for result in results]
    longest = {name: max((one.get(name, ()) for one in drawn), key=len) for one in drawn for name in one}
    return [result._replace(drawn=_completed(result.drawn, longest)) for result in results]


def _completed(drawn: Drawn, longest: Drawn) -> Drawn:
    own = {name: drawn.get(name, ()) for name in longest}
    return {name: (*own[name], *map(jnp.zeros_like, longest[name][len(own[name]) :])) for name in longest}


@register_step("shuffled")
@dataclasses.dataclass(frozen=True)
class Shuffled:
    """Steps in an order that is drawn for each batch; all allowed orders are equally likely.

    The compiled program contains each step once. All steps therefore get images in arrays of the same shape, that of
    the first step's input, and no step may enlarge images beyond it. If several steps blur, the batch's kernel is that
    of the first such step in ``steps``. The values that they draw are not recorded.

    Attributes:
      steps: two to seven steps.
      before: pairs of positions in ``steps``, counted from 0; the first of a pair always precedes the second.
    """

    steps: Steps
    before: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _check_steps("shuffled: steps", self.steps)
        if not 2 <= len(self.steps) <= _MOST_SHUFFLED:
            raise InputError(f"shuffled: give 2 to {_MOST_SHUFFLED} steps, not {len(self.steps)}")
        numbers = range(len(self.steps))
        pairs = self.before if isinstance(self.before, tuple) else (None,)
        if not all(isinstance(pair, tuple) and len(pair) == 2 and {*pair} <= {*numbers} for pair in pairs):
            raise InputError(
                f"shuffled: before must be pairs of positions from 0 to {numbers[-1]}, got {self.before!r}"
            )
        if not len(_allowed_orders(len(self.steps), self.before)):
            raise InputError(f"shuffled: no order of the steps has all of {self.before} as they should be")

    @property
    def inside(self) -> Steps:
        """The steps."""
        return self.steps

    def __call__(self, batch: Batch, keys: Keys, task: Task) -> Batch:
        height, width = batch.image.shape[1:3]
        key = keys("shuffled")
        table = _allowed_orders(len(self.steps), self.before)
        order = jnp.asarray(table)[jax.random.randint(keys("order"), (), 0, len(table))]

        def after(step: Step, number: int, batch: Batch) -> Batch:
            result = step(batch, Keys(jax.random.fold_in(key, number)), task)
            if result.image.shape[1] > height or result.image.shape[2] > width:
                raise InputError(f"shuffled: {step} enlarges images beyond the {height}x{width} that they begin with")
            return pad_batch(result._replace(drawn={}), height, width)

        def anew(run: typing.Callable[[Batch], Batch], batch: Batch) -> Batch:
            return run(batch._replace(kernel=None))

        runs = [functools.partial(after, step, number) for number, step in enumerate(self.steps)]
        before, batch = batch.drawn, batch._replace(size=full_size(batch), drawn={})
        if batch.kernel is None:
            for number, run in enumerate(runs):
                kernel = jax.eval_shape(run, batch).kernel
                if kernel is not None:  # the batch takes its kernel from this blur, whatever the order
                    runs[number] = functools.partial(anew, run)
                    batch = batch._replace(kernel=jnp.zeros(kernel.shape, kernel.dtype))
                    break
        batch = jax.lax.fori_loop(0, len(runs), lambda place, batch: jax.lax.switch(order[place], runs, batch), batch)
        return batch._replace(drawn=before)


@functools.cache
def _allowed_orders(count: int, before: tuple[tuple[int, int], ...]) -> np.ndarray:
    """All orders [N, count] of ``count`` steps in which the first step of each pair precedes the second."""
    orders = (
        order
        for order in itertools.permutations(range(count))
        if all(order.index(first) < order.index(second) for first, second in before)
    )
    return np.array(list(orders), np.int32)


def _check_steps(name: str, steps: typing.Any) -> None:
    if not isinstance(steps, tuple) or not all(dataclasses.is_dataclass(step) and callable(step) for step in steps):
        raise InputError(f"{name} must be steps in parentheses, such as (noise((0, 15)), jpeg()); got {steps!r}")
