"""``BlindNetwork``: properties of a network that restores images or estimates kernels from LR images alone."""

from __future__ import annotations

import typing

import jax
import numpy as np

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.inference.network_with_weights import NetworkWithWeights


class BlindNetwork(NetworkWithWeights):
    """A blind network of one scale with its weights."""

    @property
    def scale(self) -> int:
        """s."""
        return self.module.scale

    @property
    def scales(self) -> tuple[int, ...]:
        """Its one scale."""
        return (self.scale,)

    @property
    def takes_kernel(self) -> bool:
        """Whether a known kernel can be given."""
        return "pca_basis" in self.variables["constants"]

    @property
    def estimates_kernel(self) -> bool:
        """Whether the network estimates the kernel itself."""
        return self.module.estimates_kernel

    @property
    def kernel_space(self) -> typing.Literal["hr", "lr"]:
        """``hr`` if its kernels blur the HR image, ``lr`` if they blur the bicubically downsampled HR image."""
        return self.module.kernel_space

    @property
    def restores(self) -> bool:
        """Whether the network returns images; some only estimate kernels."""
        return self.module.restores

    @property
    def unfolds(self) -> bool:
        """See ``Restorer``."""
        return self.module.unfolds

    @property
    def iterations(self) -> int | None:
        """Default number of unfolded steps; None for networks that are not unfolded."""
        return getattr(self.module, "iterations", None)

    @property
    def downsample(self) -> Downsample:
        """The downsampling that its kernels assume: that of its training, or bicubic for the authors' weights."""
        if "downsample" in self.module.made_for:
            return self.module.made_for["downsample"]
        recipe = self.metadata.get("source", {}).get("config", {})
        return recipe.get("degradation", {}).get("downsample", "bicubic")

    @property
    def kernel_size(self) -> int | None:
        """K; None for networks without kernels."""
        return getattr(self.module, "kernel_size", None)

    @property
    def pca_basis(self) -> np.ndarray | None:
        """[K², L], the basis of kernel codes; None for networks without codes."""
        basis = self.variables["constants"].get("pca_basis")
        return None if basis is None else np.asarray(basis)

    def reported(self, images: jax.Array) -> jax.Array:
        """Convert the images [T, ...] of a trace to the images that a call with 1, 2 … T steps returns."""
        return self.module.reported(images)
