"""Methods that learn from the picture itself, as models to call: an estimator of kernels and a solver.

They loop over a compiled step outside of ``jit``, since a loop inside is far slower on a CPU. So they cannot be called
below ``jit`` or ``grad``, and they restore pictures whole.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.inference.inputs import checked_batch, one_for_each
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.solver import AtScale, Solver
from blindsr_jax.inference.texture import most_textured
from blindsr_jax.internal_learning.watching import Watch, unwatched
from blindsr_jax.networks.learners import build_learner
from blindsr_jax.networks.network import Network
from blindsr_jax.ops.arguments import traced
from blindsr_jax.types import SROutput, Trace

_NOTHING: dict[str, typing.Any] = {"params": {}, "constants": {}}


def learning_model(options: typing.Mapping[str, typing.Any]) -> LearningEstimator | LearningSolver:
    """The model of a method of ``networks.learners``, from its name and options. Raises ConfigError as there."""
    module = build_learner(**options)
    return LearningEstimator(module, _NOTHING) if module.blind else LearningSolver(module, _NOTHING)


def _text(module: Network) -> str:
    """The options that differ from the defaults, as they are given after a name."""
    fields = [field for field in dataclasses.fields(module) if field.name not in ("compute", "parent", "name")]
    given = [(field.name, getattr(module, field.name)) for field in fields if field.name != "scale"]
    defaults = {field.name: field.default for field in fields}
    return ",".join(f"{name}={value}" for name, value in given if value != defaults[name])


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LearningEstimator(Model):
    """A method that learns the kernel of each picture from the picture. A ``Restorer``.

    Attributes:
      watch: called while it learns.
    """

    watch: Watch = unwatched

    def __repr__(self) -> str:
        return f"LearningEstimator({self.network} ×{self.scale}{', ' * bool(_text(self.module))}{_text(self.module)})"

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``NetworkWithWeights``; it also depends on the options."""
        return f"{super().fingerprint}, {_text(self.module)}"

    def with_watch(self, watch: Watch) -> LearningEstimator:
        """Return a copy that tells how far it has learned."""
        return dataclasses.replace(self, watch=watch)

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        kernel_code: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Learn the kernel of each picture of a batch.

        Args:
          lr: [B, H, W, 3] in [0, 1]; not traced.
          kernel, kernel_code, iterations: arguments of other models; must be None here.
          trace: also return the raw kernels, before the final ones.
          image_only: not used.

        Returns:
          SROutput with ``sr=None``.

        Raises:
          DataError: shapes or values are not as above; a picture is too small or flat; or no kernel was found.
        """
        lr = checked_batch(lr, iterations)
        self._known(len(lr), kernel, kernel_code)  # raises if there is one
        if iterations is not None:
            raise DataError(f"{self.network} has no unfolded steps: leave the number out; its option is steps")
        if traced(lr):
            raise DataError(f"{self.network} learns in a loop outside of jit: call it there")
        seen = most_textured(lr, self.kernel_window) if self.kernel_window else lr
        kernels = self.module.learn(np.asarray(seen), self.watch)
        return SROutput(kernel=kernels[-1], trace=Trace(kernel=kernels) if trace else None, lr=lr)


class LearningSolver(Solver):
    """A method that learns from each picture how to undo a given blur."""

    def __repr__(self) -> str:
        return f"LearningSolver({self.network}{', ' * bool(_text(self.module))}{_text(self.module)})"

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``NetworkWithWeights``; it also depends on the options."""
        return f"{super().fingerprint}, {_text(self.module)}"

    def at_scale(self, scale: int, sigma: float = 0.0) -> LearningAtScale:
        """See ``Solver.at_scale``."""
        self._check_scale(scale)
        return LearningAtScale(self, scale, sigma)

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array,
        scale: int,
        sigma: jax.Array | float = 0.0,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restore a batch whose blur is known, picture by picture: see ``Solver.__call__``; sigma is one number."""
        self._check_scale(scale)
        return self.at_scale(scale, float(sigma))(lr, kernel=kernel, iterations=iterations, trace=trace)

    def with_seconds(self, seconds: float) -> LearningSolver:
        """Return a copy that trains for at most so many seconds for each picture."""
        return LearningSolver(self.module.clone(seconds=seconds), self.variables, self.metadata)


@dataclasses.dataclass(frozen=True, repr=False)
class LearningAtScale(AtScale):
    """A solver that learns, at one scale: a ``Restorer`` that needs a kernel.

    Attributes:
      watch: called while it learns.
    """

    watch: Watch = unwatched

    @property
    def whole_only(self) -> str:
        """See ``Restorer``."""
        return f"{self.network} learns from the whole picture and needs no tiles: leave them out"

    def shard_rows(self) -> typing.NoReturn:
        """Raise DataError, because the network is trained on the whole picture."""
        raise DataError(f"{self.network} learns from the whole picture: its rows cannot be shared")

    def with_watch(self, watch: Watch) -> LearningAtScale:
        """Return a copy that tells how far it has learned."""
        return dataclasses.replace(self, watch=watch)

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restore a batch, picture by picture: see ``AtScale.__call__``.

        Raises:
          DataError: shapes or values are not as there, or traced; there is no kernel, or a number of iterations.
        """
        lr, kernels = checked_batch(lr, iterations), self._checked_kernels(lr, kernel)
        if iterations is not None or trace:
            raise DataError(f"{self.network} has no unfolded steps: leave their number out; its option is steps")
        if traced(lr, kernels):
            raise DataError(f"{self.network} learns in a loop outside of jit: call it there")
        options = self.scale, self.sigma, self.watch
        pairs = zip(np.asarray(lr), one_for_each(kernels, len(lr)))
        sr = np.stack([self.solver.module.restore(one, kernel, *options) for one, kernel in pairs])
        return SROutput(sr=sr, kernel=None if image_only else kernels, lr=lr)
