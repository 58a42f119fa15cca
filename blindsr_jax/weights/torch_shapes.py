"""Sizes of a network, read off the names and shapes of the tensors in the authors' PyTorch checkpoints."""

from __future__ import annotations

import os

import numpy as np

from blindsr_jax.errors import WeightsError

State = dict[str, np.ndarray]


def scale_of(path: str | os.PathLike, state: State, upsampler: str, features: int) -> tuple[int, int]:
    """Scale and number of sub-pixel stages: ×4 has two ×2 stages, ×2 and ×3 have one stage, ×1 has none.

    The stage of ×2 and ×3 widens the features s² times.

    Args:
      path: the file's name in messages.
      state: arrays by PyTorch's names.
      upsampler: name of a Sequential, in which convolutions alternate with pixel shuffles, and the last one outputs the
        image.
      features: channels before the first stage.

    Raises:
      WeightsError: a tensor is missing, or the widths fit no scale.
    """
    if f"{upsampler}.weight" in state:
        return 1, 0
    if f"{upsampler}.4.weight" in state:
        return 4, 2
    widened = width_of(path, state, f"{upsampler}.0.weight")
    for scale in (2, 3):
        if widened == features * scale**2:
            return scale, 1
    raise WeightsError(f"{path}: its upsampler widens {features} features to {widened}, which fits no scale known here")


def scale_of_stages(
    path: str | os.PathLike, state: State, upsampler: str, features: int, *, second: int = 2
) -> tuple[int, int]:
    """``scale_of`` where the convolution that outputs the image is not in the Sequential.

    Args:
      path, state, upsampler, features: see ``scale_of``.
      second: number of the second stage's convolution in the Sequential.
    """
    return (4, 2) if f"{upsampler}.{second}.weight" in state else scale_of(path, state, upsampler, features)


def width_of(path: str | os.PathLike, state: State, name: str, *, dimensions: int = 4, axis: int = 0) -> int:
    """Number of output channels of a convolution, or of a matrix, which has two dimensions; of its input on axis 1.

    Raises:
      WeightsError: the tensor is missing or has other dimensions.
    """
    if name not in state:
        raise WeightsError(f"{path}: the tensor {name} is missing")
    if state[name].ndim != dimensions:
        kind = "convolution" if dimensions == 4 else "matrix"
        raise WeightsError(f"{path}: the tensor {name} of shape {state[name].shape} is no {kind}")
    return state[name].shape[axis]


def count_of(state: State, prefix: str) -> int:
    """Number of distinct names directly below a prefix, such as the numbered blocks of a body."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def rename_layers(state: State, layers: dict[str, str]) -> None:
    """Rename layers of a state in place: their weights and biases."""
    for before, after in layers.items():
        for leaf in ("weight", "bias"):
            if f"{before}.{leaf}" in state:
                state[f"{after}.{leaf}"] = state.pop(f"{before}.{leaf}")
