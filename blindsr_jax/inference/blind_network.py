"""``BlindNetwork``: facts about a network that restores or estimates kernels from LR images alone."""

from __future__ import annotations

import jax
import numpy as np

from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.inference.weighted import Weighted
from blindsr_jax.networks.unfolded import Unfolded


class BlindNetwork(Weighted):
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
        """Whether it finds one by itself."""
        return self.module.estimates_kernel

    @property
    def restores(self) -> bool:
        """Whether images come out; some models estimate kernels only."""
        return self.module.restores

    @property
    def unfolds(self) -> bool:
        """See ``Restorer``."""
        return isinstance(self.module, Unfolded)

    @property
    def iterations(self) -> int | None:
        """Unfolded steps when a call does not say; None for networks that repeat nothing."""
        return getattr(self.module, "iterations", None)

    @property
    def downsample(self) -> Downsample:
        """The sampling that its kernels are about: what it was trained with, bicubic for the authors' weights."""
        if not self.module.restores:
            return self.module.downsample
        recipe = self.metadata.get("source", {}).get("config", {})
        return recipe.get("degradation", {}).get("downsample", "bicubic")

    @property
    def kernel_size(self) -> int | None:
        """K; None for networks without kernels."""
        return getattr(self.module, "kernel_size", None)

    @property
    def pca_basis(self) -> np.ndarray | None:
        """[K², L], the basis of kernel codes; None for networks without such codes."""
        basis = self.variables["constants"].get("pca_basis")
        return None if basis is None else np.asarray(basis)

    def reported(self, images: jax.Array) -> jax.Array:
        """The images after 1, 2 … T steps, from the images [T, ...] of a trace."""
        return self.module.reported(images) if self.unfolds else images
