"""``Restorer``: the common interface of everything that restores pictures or estimates their blur."""

from __future__ import annotations

import typing

import numpy as np

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.shrinking import Shrink
from blindsr_jax.inference.tile_context import Means, TileContext
from blindsr_jax.inference.tile_policy import Tile
from blindsr_jax.internal_learning.watching import Watch
from blindsr_jax.types import SROutput

Border = typing.Literal["reflect", "circular"]


class Restorer(typing.Protocol):
    """One or more networks that are ready to use at one scale: ``Model``, ``AtScale``, ``Pipeline``.

    Restoring, tiling, self-ensemble, evaluation, the commands and the page rely on this interface alone.
    """

    @property
    def scale(self) -> int:
        """s."""

    @property
    def network(self) -> str:
        """Name in messages of the network that restores."""

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""

    @property
    def fingerprint(self) -> str:
        """Text that differs where results differ."""

    @property
    def restores(self) -> bool:
        """Whether it returns images; some only estimate kernels."""

    @property
    def takes_kernel(self) -> bool:
        """Whether a known kernel can be given."""

    @property
    def estimates_kernel(self) -> bool:
        """Whether it estimates the kernel itself."""

    @property
    def kernel_space(self) -> typing.Literal["hr", "lr"]:
        """Whether its kernels blur the HR image, or the HR image after bicubic downsampling."""

    @property
    def needs_kernel(self) -> bool:
        """Whether every call must give a kernel."""

    @property
    def takes_sigma(self) -> bool:
        """Whether it uses the noise level of ``with_sigma``."""

    @property
    def takes_padding(self) -> bool:
        """Whether images may be padded to a common shape: see ``padded_to``."""

    @property
    def whole_only(self) -> str:
        """The reason why it cannot restore tiles, as text for a message; empty if it can."""

    @property
    def border(self) -> Border:
        """How its images continue beyond their border: see ``with_border``."""

    @property
    def unfolds(self) -> bool:
        """Whether it repeats one step, so that step t of a longer run equals the result of t steps."""

    @property
    def iterations(self) -> int | None:
        """Default number of unfolded steps; None for networks that are not unfolded."""

    @property
    def downsample(self) -> Downsample:
        """The downsampling that its kernels assume."""

    @property
    def kernel_size(self) -> int | None:
        """K of its kernels; None if it takes kernels of any size."""

    @property
    def pca_basis(self) -> np.ndarray | None:
        """[K², L], the basis of its kernel codes; None for networks without codes."""

    @property
    def estimator(self) -> Restorer | None:
        """The model that estimates the kernel in a separate step; None if there is no such step."""

    def __call__(
        self,
        lr: typing.Any,
        *,
        kernel: typing.Any = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restore a batch [B, H, W, 3]: see ``Model.__call__``."""
        ...

    def restore(
        self,
        image: np.ndarray,
        *,
        kernel: np.ndarray | None = None,
        iterations: int | None = None,
        self_ensemble: bool = False,
        tile: Tile = "auto",
        tiles_at_once: int | None = None,
        shrink: Shrink = 1,
        same_size: bool = False,
        back_project: int = 0,
    ) -> np.ndarray:
        """Restore one image: see ``restore.RestoresImages``."""
        ...

    def reported(self, images: typing.Any) -> typing.Any:
        """Convert the images [T, ...] of a trace to the images that a call with 1, 2 … T steps returns."""
        ...

    def padded_to(self, shapes: typing.Sequence[tuple[int, int]]) -> Restorer:
        """Return a copy that pads images to the smallest of these heights and widths that holds them."""
        ...

    def shard_rows(self) -> Restorer:
        """Return a copy that splits the rows of every image among all devices."""
        ...

    def with_sigma(self, sigma: float) -> Restorer:
        """Return a copy for a noise level in [0, 1]."""
        ...

    def with_watch(self, watch: Watch) -> Restorer:
        """Return a copy that tells how far it is, if it learns from the picture."""
        ...

    def with_seconds(self, seconds: float) -> Restorer:
        """Return a copy that learns from a picture for at most so long."""
        ...

    def with_border(self, border: Border) -> Restorer:
        """Return a copy for images that continue beyond their border mirrored, or wrapped around."""
        ...

    def estimate(self, pixels: Pixels, *, iterations: int | None = None, trace: bool = False) -> SROutput:
        """Estimate the kernel of one image of any size."""
        ...

    def tile_context(self, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> TileContext:
        """Compute the context that the tiles of an image share."""
        ...

    def restore_tiles(self, tiles: np.ndarray, context: TileContext, side: int) -> np.ndarray:
        """Restore tiles [B, h, w, 3] of one image, at most ``side`` pixels wide and high: [B, s·h, s·w, 3]."""
        ...

    def tile_means(self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int) -> Means:
        """Measure channel attention's means in windows [B, 4] of tiles; called only if the context has means."""
        ...
