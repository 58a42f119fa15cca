"""Base of unfolded networks: T steps with shared parameters in one loop, and their supervision."""

from __future__ import annotations

import dataclasses
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.network import Network
from blindsr_jax.networks.region import Region, accepts_region, mask_outside, optional
from blindsr_jax.types import Degraded, Estimate, SROutput, Trace

Gradient = typing.Literal["last", "all", "last_through_all"]
State = typing.Any


def unfold(
    network: nn.Module,
    start: State,
    lr: jax.Array,
    steps: int,
    *,
    keep: bool = False,
    schedule: tuple[jax.Array, ...] = (),
    region: Region | None = None,
) -> tuple[State, Estimate | None]:
    """Run T steps of a network in one scan with shared parameters.

    Args:
      network: has ``step(state, lr, *now) -> state`` and ``estimate_of(state) -> Estimate``.
      start: the state before the first step.
      lr: LR images, the same for every step.
      steps: T.
      keep: return the estimates of every step.
      schedule: arrays [T, ...] of values that differ between steps; step t receives element t of each as ``now``.
      region: passed to every step unless it is None.

    Returns:
      The last state, and the stacked estimates of all steps or None.
    """

    def body(network: nn.Module, state: State, lr: jax.Array, now: tuple[jax.Array, ...]) -> tuple[State, typing.Any]:
        state = network.step(state, lr, *now, **optional(region))
        return state, network.estimate_of(state) if keep else None

    scan = nn.scan(
        body,
        variable_broadcast=["params", "constants"],
        split_rngs={"params": False},
        in_axes=(nn.broadcast, 0),
        length=steps,
    )
    return scan(network, start, lr, schedule)


class Unfolded(Network):
    """Base of networks that repeat one step.

    A subclass defines the initial state (``start``), one step (``step``), the estimate in a state (``estimate_of``) and
    the training targets (``targets``). It has the fields ``scale`` (s) and ``iterations`` (T). This class runs the loop
    and differentiates it. ``Network`` lists the facts that a subclass may state.
    """

    unfolds: typing.ClassVar[bool] = True
    supervise: typing.ClassVar[tuple[str, ...]] = ("last", "all")

    @property
    def takes_padding(self) -> bool:
        """Whether the network accepts padded images; see ``networks.region``.

        It does if all methods that compute a step have the argument ``region``. Other networks, such as those that
        apply an FFT to the whole image, must be called without padding.
        """
        return all(map(accepts_region, (self.start, self.step, self.with_kernel, self.with_code)))

    def start(self, lr: jax.Array, *, region: Region | None = None) -> State:
        """Return the state before the first step, from LR images [B, H, W, 3].

        To support padded images, a network needs the argument ``region`` here, in ``step``, and in ``with_kernel`` and
        ``with_code`` if it overrides them.
        """
        raise NotImplementedError

    def step(self, state: State, lr: jax.Array, *now: jax.Array, region: Region | None = None) -> State:
        """Compute one unfolded step.

        If only images are requested, ``now`` of a network that estimates kernels is one boolean: whether this is the
        last step. The last step then only has to update ``sr``.
        """
        raise NotImplementedError

    def estimate_of(self, state: State) -> Estimate:
        """Return the estimates of image, kernel, code and detail in a state."""
        return state

    def final_image(self, state: State, steps: int) -> jax.Array:
        """Return the image after ``steps`` steps: that of the last step, unless a network overrides this."""
        return self.estimate_of(state).sr

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the targets of a step's estimates, from the true image and its degradation."""
        raise NotImplementedError

    def with_kernel(self, lr: jax.Array, kernel: jax.Array, *, region: Region | None = None) -> Estimate:
        """Return the estimate for a known kernel [B, K, K], if the network can use one."""
        raise TypeError(f"{type(self).__name__} does not use a kernel")

    def with_code(self, lr: jax.Array, code: jax.Array, *, region: Region | None = None) -> Estimate:
        """Return the estimate for a known kernel code [B, L], if the network can use one."""
        raise TypeError(f"{type(self).__name__} does not use a kernel code")

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array | None = None,
        kernel_code: jax.Array | None = None,
        iterations: int | None = None,
        trace: bool = False,
        region: Region | None = None,
        image_only: bool = False,
    ) -> SROutput:
        """Restore a batch. All T steps run in one compiled loop; for training see ``training_steps``.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel: [B, K, K]. If given, it is used once and nothing is estimated (DAN's table 3).
          kernel_code: [B, L], used like ``kernel``.
          iterations: T.
          trace: also return every step.
          region: region of LR images that are padded to H×W, or that are tiles of one image; see ``networks.region``.
            The restored images are padded with zeros in the same way.
          image_only: return neither kernel nor code. Without a trace, the kernel of the last step is not computed,
            since no image depends on it.

        Returns:
          SROutput.

        Raises:
          TypeError: the network does not accept a region, or cannot use a kernel or a code.
        """
        if region is not None and not self.takes_padding:
            raise TypeError(f"{type(self).__name__} does not accept a region: one of its parts has no argument region")
        lr, options = mask_outside(lr, region), optional(region)
        if self.is_initializing():
            return self._output(self.step(self.start(lr, **options), lr, **options), 1)
        if kernel is None and kernel_code is None:
            output = self._unfolded(lr, iterations or self.iterations, trace, image_only, region)
        else:
            with_known, known = (self.with_kernel, kernel) if kernel_code is None else (self.with_code, kernel_code)
            estimate = with_known(lr, known, **options)
            steps = jax.tree.map(lambda x: x[None], estimate) if trace else None
            output = _as_output(estimate.sr, estimate, steps)
        return dataclasses.replace(output, kernel=None, kernel_code=None, degradation=None) if image_only else output

    def _unfolded(self, lr: jax.Array, count: int, trace: bool, image_only: bool, region: Region | None) -> SROutput:
        schedule = ()
        if image_only and self.estimates_kernel and not trace:
            schedule = (jnp.arange(count) == count - 1,)
        start = self.start(lr, **optional(region))
        state, steps = unfold(self, start, lr, count, keep=trace, schedule=schedule, region=region)
        return self._output(state, count, steps)

    def training_steps(self, lr: jax.Array, *, gradient: Gradient) -> list[Estimate]:
        """Return the steps that a loss supervises, differentiable with respect to the parameters.

        With ``gradient="last"`` only the last step is differentiated. The T − 1 steps before it run in the same
        compiled loop as at test time, on stopped parameters, and store nothing for the backward pass. For a network
        whose steps receive detached inputs, as in DAN, this is the full gradient of a loss on the last step.

        With ``"all"`` every step is returned and differentiated. The steps are unrolled because XLA's CPU gradient of a
        strided or transposed convolution inside a loop is over twenty times slower (jax-ml/jax#12868; for other
        convolutions see ``ops.convolution``). ``compute.remat`` chooses the values that are stored.

        With ``"last_through_all"`` all steps are differentiated, and the last is returned. This is the full gradient of
        a loss on the last step, of networks whose states carry a gradient from step to step (RealDAN).

        Args:
          lr: [B, H, W, 3].
          gradient: ``last``, ``all`` or ``last_through_all``.

        Returns:
          The estimates of the last step, or of all T steps.
        """
        if gradient != "last":
            states, step = [self.start(lr)], self.compute.checkpoint(type(self).step, nn.remat)
            for _ in range(self.iterations):
                states.append(step(self, states[-1], lr))
            return [self.estimate_of(state) for state in states[1 if gradient == "all" else -1 :]]

        def all_but_the_last(network: Unfolded, lr: jax.Array) -> State:
            start = network.start(lr)
            return start if network.iterations == 1 else unfold(network, start, lr, network.iterations - 1)[0]

        without_gradient = nn.map_variables(all_but_the_last, "params", trans_in_fn=jax.lax.stop_gradient)
        state = jax.lax.stop_gradient(without_gradient(self, lr))
        return [self.estimate_of(self.step(state, lr))]

    def _output(self, state: State, count: int, steps: Estimate | None = None) -> SROutput:
        return _as_output(self.final_image(state, count), self.estimate_of(state), steps)


def _as_output(sr: jax.Array, last: Estimate, steps: Estimate | None) -> SROutput:
    trace = None
    if steps is not None:
        trace = Trace(steps.sr, steps.kernel, steps.code, steps.detail, steps.degradation)
    return SROutput(sr=sr, kernel=last.kernel, kernel_code=last.code, degradation=last.degradation, trace=trace)
