"""What the unfolded networks share: T steps with the same parameters, in one loop, and how they are supervised."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.network import Network
from blindsr_jax.networks.region import Region, accepts_region, mask_outside, optional
from blindsr_jax.types import Degraded, Estimate, SROutput, Trace

Gradient = typing.Literal["last", "all"]
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
    """T steps of a network in one scan, parameters shared.

    Args:
      network: has ``step(state, lr, *now) -> state`` and ``estimate_of(state) -> Estimate``.
      start: the state before the first step.
      lr: LR images, the same for every step.
      steps: T.
      keep: whether to return what every step estimates.
      schedule: what differs from step to step, [T, ...] each; a step gets its own part as ``now``.
      region: given to every step, if there is one.

    Returns:
      The last state, and the estimates of all steps, stacked, or None.
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

    A network says how it starts (``start``), what a step does (``step``), what of its state is the estimate
    (``estimate_of``), and what it aims at in training (``targets``); its fields ``scale`` and ``iterations`` are s and
    T. The loop and its gradient stand here. See ``Network`` for the facts that a network may state.
    """

    unfolds: typing.ClassVar[bool] = True
    supervise: typing.ClassVar[tuple[str, ...]] = ("last", "all")

    @property
    def takes_padding(self) -> bool:
        """Whether padded images get the numbers that they would get alone: see ``networks.region``.

        So it is if all that computes a step takes a region. A network without that argument, such as one that sees the
        whole image through an FFT, gets images of their own size.
        """
        return all(map(accepts_region, (self.start, self.step, self.with_kernel, self.with_code)))

    def start(self, lr: jax.Array, *, region: Region | None = None) -> State:
        """The state before the first step, from LR images [B, H, W, 3].

        A network that can be used on padded images has the argument ``region`` here, in ``step``, and in
        ``with_kernel`` and ``with_code`` if it has these.
        """
        raise NotImplementedError

    def step(self, state: State, lr: jax.Array, *now: jax.Array, region: Region | None = None) -> State:
        """One unfolded step.

        A network that estimates kernels is told by ``now``, if only images are wanted, whether this is the last step:
        then nothing but ``sr`` has to change.
        """
        raise NotImplementedError

    def estimate_of(self, state: State) -> Estimate:
        """What a state knows of image, kernel, code and detail."""
        return state

    def final_image(self, state: State, steps: int) -> jax.Array:
        """The image that is reported after so many steps: the last step's, unless a network says otherwise."""
        return self.estimate_of(state).sr

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """The values that a step's estimates are compared with, from the true image and its degradation."""
        raise NotImplementedError

    def with_kernel(self, lr: jax.Array, kernel: jax.Array, *, region: Region | None = None) -> Estimate:
        """The estimate with a known kernel [B, K, K], for networks that can use one."""
        raise TypeError(f"{type(self).__name__} does not use a kernel")

    def with_code(self, lr: jax.Array, code: jax.Array, *, region: Region | None = None) -> Estimate:
        """The estimate with a known kernel code [B, L], for networks that can use one."""
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
        """Restores a batch; no gradient is needed, so all T steps run in one compiled loop.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel: [B, K, K]; if given, it is used once and nothing is estimated (DAN's table 3).
          kernel_code: [B, L], the same by its code.
          iterations: T.
          trace: also return every step.
          region: of LR images that are padded to H×W, or that are parts of one image: see ``networks.region``. The
            restored images are padded alike, with zeros.
          image_only: leave kernel and code out; then the last step's, which no image needs, is not computed (but for a
            trace).

        Returns:
          SROutput.

        Raises:
          TypeError: a region for a network that does not take it.
        """
        if region is not None and not self.takes_padding:
            raise TypeError(f"{type(self).__name__} takes images of their own size only: a part has no argument region")
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
        return output.replace(kernel=None, kernel_code=None) if image_only else output

    def _unfolded(self, lr: jax.Array, count: int, trace: bool, image_only: bool, region: Region | None) -> SROutput:
        schedule = ()
        if image_only and self.estimates_kernel and not trace:
            schedule = (jnp.arange(count) == count - 1,)
        start = self.start(lr, **optional(region))
        state, steps = unfold(self, start, lr, count, keep=trace, schedule=schedule, region=region)
        return self._output(state, count, steps)

    def training_steps(self, lr: jax.Array, *, gradient: Gradient) -> list[Estimate]:
        """The steps that a loss supervises, differentiable with respect to the parameters.

        With ``gradient="last"`` only the last step is differentiated; the T − 1 before it run in the same compiled
        loop as at test time, on stopped parameters, and store nothing for the backward pass. For a network whose steps
        see their inputs detached, as DAN's do, that is the full gradient of a loss on the last step. With ``"all"``
        every step is returned and the gradient goes through all; they are unrolled, since XLA's CPU gradient of a
        strided or transposed convolution inside a loop is over twenty times slower (jax-ml/jax#12868; the others have
        their own, see ``ops.convolution``). ``compute.remat`` says what is stored for the gradient.

        Args:
          lr: [B, H, W, 3].
          gradient: ``last`` or ``all``.

        Returns:
          The last step, or all T.
        """
        if gradient == "all":
            state, steps = self.start(lr), []
            step = self.compute.checkpoint(type(self).step, nn.remat)
            for _ in range(self.iterations):
                state = step(self, state, lr)
                steps.append(self.estimate_of(state))
            return steps

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
        trace = Trace(sr=steps.sr, kernel=steps.kernel, kernel_code=steps.code, detail=steps.detail)
    return SROutput(sr=sr, kernel=last.kernel, kernel_code=last.code, trace=trace)
