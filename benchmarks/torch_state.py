"""The package's parameters as a state dict of the authors' networks: the inverse of ``weights.official``."""

from __future__ import annotations

import re
import typing

import numpy as np
from flax.traverse_util import flatten_dict

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.networks.layers import MEAN_COLOUR
from blindsr_jax.weights.official import BATCH_NORM_EPSILON
from blindsr_jax.weights.torch_names import TABLES, to_paths
from blindsr_jax.weights.torch_shapes import count_of, rename_layers

STAGES = {1: 0, 2: 1, 3: 1, 4: 2}  # number of the upsampler's sub-pixel stages, by scale


def to_torch(model: str, scale: int, variables: dict[str, typing.Any]) -> dict[str, np.ndarray]:
    """Convert variables to the names and layouts of the authors' checkpoints.

    Args:
      model: ``danv1``, ``danv2``, ``dssr``, ``dcls`` or ``dasr``.
      scale: s.
      variables: variables of the package's network.

    Returns:
      {PyTorch name: array}. For a DAN this includes the PCA basis, the Dirac kernel and its code; for a DASR the mean
      colour, a batch normalisation that changes nothing, and zeros for what served its training alone.

    Raises:
      ValueError: a parameter has no name in the checkpoints, or would not be read back unchanged.
    """
    state = {}
    for path, array in flatten_dict(variables["params"], sep="/").items():
        name = _name(model, STAGES[scale], path)
        state[name] = _laid_out(model, STAGES[scale], name, path, np.asarray(array))
    return _complete_dasr(state) if model == "dasr" else state | _basis_tensors(variables.get("constants", {}))


def _name(model: str, stages: int, path: str) -> str:
    where, leaf = path.rsplit("/", 1)
    for torch, pattern in TABLES[model](stages):
        match = re.fullmatch(re.sub(r"{(\w)}", r"(?P<\1>\\d+)", pattern), where)
        if match:
            return f"{torch.format(**match.groupdict())}.{'bias' if leaf == 'bias' else 'weight'}"
    raise ValueError(f"{path} has no name in the checkpoints of {model}")


def _laid_out(model: str, stages: int, name: str, path: str, array: np.ndarray) -> np.ndarray:
    """The array in the layout, of a convolution or a transposed one, that ``to_paths`` converts back to it."""
    layouts = [array, array.T] if array.ndim == 2 else [array]
    if array.ndim == 4:
        layouts = [array.transpose(3, 2, 0, 1), array.transpose(2, 3, 0, 1)[:, :, ::-1, ::-1]]
    for candidate in layouts:
        if np.array_equal(to_paths(model, stages, {name: candidate})[0].get(path), array):
            return np.ascontiguousarray(candidate)
    raise ValueError(f"{path} of shape {array.shape} would not be read back as it is")


def _basis_tensors(constants: dict[str, typing.Any]) -> dict[str, np.ndarray]:
    """A DAN's PCA basis, the Dirac kernel and its code, each with the leading axis of the authors' buffers."""
    if not constants:
        return {}
    basis = np.asarray(constants["pca_basis"])
    kernel = np.asarray(dirac(round(basis.shape[0] ** 0.5)), np.float32)
    code = kernel.reshape(1, -1) @ basis
    return {"encoder": basis[None], "init_kernel": kernel[None], "init_ker_map": code}


def _complete_dasr(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give layers of a DASR their numbered names, and add what the package's has not."""
    groups, blocks = (count_of(state, prefix) for prefix in ("G.body.", "G.body.0.body."))
    places = {"G.fusion": f"G.body.{groups}"} | {f"G.body.{n}.out": f"G.body.{n}.body.{blocks}" for n in range(groups)}
    rename_layers(state, places)
    for name, sign in (("G.sub_mean", -255), ("G.add_mean", 255)):
        state[f"{name}.weight"] = np.eye(3, dtype=np.float32)[..., None, None]
        state[f"{name}.bias"] = np.float32(sign * np.array(MEAN_COLOUR))
    for place in range(0, 18, 3):
        norm, length = f"E.encoder_q.E.{place + 1}", len(state[f"E.encoder_q.E.{place}.bias"])
        ones, zeros = np.ones(length, np.float32), np.zeros(length, np.float32)
        state |= {f"{norm}.weight": ones * np.float32(np.sqrt(1 + BATCH_NORM_EPSILON)), f"{norm}.bias": zeros}
        state |= {f"{norm}.running_mean": zeros, f"{norm}.running_var": ones}
        state[f"{norm}.num_batches_tracked"] = np.array(0)
    for place in (0, 2):
        name = f"E.encoder_q.mlp.{place}"
        state |= {f"{name}.weight": np.zeros((length, length), np.float32), f"{name}.bias": zeros}
    return state
