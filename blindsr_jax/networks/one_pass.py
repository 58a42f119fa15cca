"""The base of networks that restore an image in one pass, without unfolded steps."""

from __future__ import annotations

import jax

from blindsr_jax.networks.network import Network
from blindsr_jax.networks.region import Region, accepts_region, mask_outside, optional
from blindsr_jax.types import Degraded, Estimate, SROutput, Trace


class OnePass(Network):
    """Base of networks that restore an image, and perhaps find its kernel, in one pass.

    A subclass has a field ``scale`` and the methods ``restored`` and ``targets``. See ``Network`` for the facts that it
    may state.
    """

    def restored(self, lr: jax.Array, *, region: Region | None = None) -> Estimate:
        """The image, and all else that the network finds, from LR images [B, H, W, 3] in [0, 1].

        A network that can be used on padded images has the argument ``region`` here: see ``networks.region``.
        """
        raise NotImplementedError

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """The values that the estimate is compared with, from the true image and its degradation."""
        raise NotImplementedError

    @property
    def takes_padding(self) -> bool:
        """Whether ``restored`` takes a region."""
        return accepts_region(self.restored)

    def __call__(self, lr: jax.Array, *, trace: bool = False, region: Region | None = None) -> SROutput:
        """Restores a batch.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          trace: also return the result as the only step of a trace.
          region: of LR images that are padded to H×W: see ``networks.region``.

        Returns:
          SROutput.

        Raises:
          TypeError: a region for a network that does not take it.
        """
        if region is not None and not self.takes_padding:
            raise TypeError(f"{type(self).__name__} takes images of their own size only: it has no argument region")
        found = self.restored(mask_outside(lr, region), **optional(region))
        steps = None
        if trace:
            values = (found.sr, found.kernel, found.code, found.detail)
            steps = Trace(*(None if x is None else x[None] for x in values))
        return SROutput(sr=found.sr, kernel=found.kernel, kernel_code=found.code, trace=steps)

    def training_steps(self, lr: jax.Array, *, gradient: str = "last") -> list[Estimate]:
        """The estimate, as the only step that a loss supervises; ``gradient`` has no meaning here."""
        return [self.restored(lr)]
