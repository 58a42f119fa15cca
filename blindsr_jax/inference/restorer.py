"""``Restorer``: the one type of everything that restores pictures or estimates their blur."""

from __future__ import annotations

import typing

import numpy as np

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.tile_context import Means, TileContext
from blindsr_jax.inference.tile_policy import Tile
from blindsr_jax.types import SROutput

Border = typing.Literal["reflect", "circular"]


class Restorer(typing.Protocol):
    """A network, or several, ready to be used at one scale: ``Model``, ``AtScale``, ``Pipeline``.

    Restoring, tiling, self-ensemble, evaluation, the commands and the page know nothing else of them.
    """

    @property
    def scale(self) -> int:
        """s."""

    @property
    def network(self) -> str:
        """Name of the network that restores, for messages."""

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""

    @property
    def fingerprint(self) -> str:
        """Text that differs where results differ."""

    @property
    def restores(self) -> bool:
        """Whether images come out. Some only estimate kernels."""

    @property
    def takes_kernel(self) -> bool:
        """Whether a known kernel can be given."""

    @property
    def estimates_kernel(self) -> bool:
        """Whether it finds the kernel by itself."""

    @property
    def kernel_space(self) -> typing.Literal["hr", "lr"]:
        """Whether its kernels blur the HR image, or the HR image after bicubic downsampling."""

    @property
    def needs_kernel(self) -> bool:
        """Whether a kernel must be given with every call."""

    @property
    def takes_sigma(self) -> bool:
        """Whether it uses the noise level of ``with_sigma``."""

    @property
    def takes_padding(self) -> bool:
        """Whether images may be padded to a common shape: see ``padded_to``."""

    @property
    def whole_only(self) -> str:
        """The reason why it restores no tiles, as a sentence; empty if it does."""

    @property
    def unfolds(self) -> bool:
        """Whether it repeats one step, so that step t of T gives what t steps give."""

    @property
    def iterations(self) -> int | None:
        """Unfolded steps when a call does not say; None for networks that repeat nothing."""

    @property
    def downsample(self) -> Downsample:
        """The sampling that its kernels are about."""

    @property
    def kernel_size(self) -> int | None:
        """K of its kernels; None if it takes any."""

    @property
    def pca_basis(self) -> np.ndarray | None:
        """[K², L], the basis of its kernel codes; None for networks without codes."""

    @property
    def estimator(self) -> Restorer | None:
        """The model that finds the kernel in a step of its own; None where there is no such step."""

    def __call__(
        self,
        lr: typing.Any,
        *,
        kernel: typing.Any = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restores a batch [B, H, W, 3]: see ``Model.__call__``."""
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
    ) -> np.ndarray:
        """Restores one image: see ``restore.RestoresImages``."""
        ...

    def reported(self, images: typing.Any) -> typing.Any:
        """The images after 1, 2 … T steps, from the images [T, ...] of a trace."""
        ...

    def padded_to(self, shapes: typing.Sequence[tuple[int, int]]) -> Restorer:
        """The same, with images padded to the smallest of these heights and widths that holds them."""
        ...

    def shard_rows(self) -> Restorer:
        """The same, with the rows of every image shared among all devices."""
        ...

    def with_sigma(self, sigma: float) -> Restorer:
        """The same, for a noise level in [0, 1]."""
        ...

    def with_border(self, border: Border) -> Restorer:
        """The same, for images that continue beyond their border as mirrored, or as wrapped around."""
        ...

    def estimate(self, pixels: Pixels, *, iterations: int | None = None, trace: bool = False) -> SROutput:
        """The kernel of one image of any size."""
        ...

    def tile_context(self, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> TileContext:
        """What the tiles of an image share."""
        ...

    def restore_tiles(self, tiles: np.ndarray, context: TileContext, side: int) -> np.ndarray:
        """Restores tiles [B, h, w, 3] of one image, at most ``side`` pixels wide and high: [B, s·h, s·w, 3]."""
        ...

    def tile_means(self, tiles: np.ndarray, windows: np.ndarray, context: TileContext, side: int) -> Means:
        """The means that channel attention sees in windows [B, 4] of tiles; asked for if the context has means."""
        ...
