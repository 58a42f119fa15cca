"""Conversion of the three checkpoints of an IKC, SFTMD, Predictor and Corrector, to one bundle.

The PCA basis of the kernel codes is in none of them, so it is named beside them.
"""

from __future__ import annotations

import os
import pathlib
import re
import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.degradations.pca import pca_basis
from blindsr_jax.errors import WeightsError
from blindsr_jax.weights.bundle import Bundle
from blindsr_jax.weights.official import bundle_from_tensors, digest_of
from blindsr_jax.weights.torch_reader import read_torch_checkpoint, read_torch_tensor
from blindsr_jax.weights.torch_shapes import State, count_of, scale_of_stages, width_of

_BLOCK = re.compile(r"SFT-residual(\d+)\.(.*)")
COMPUTED = "ikc"  # in place of a file: IKC's basis, computed here
_IKC_KERNELS = 21, (0.2, 4.0), 2_000  # side; range of widths in HR pixels; widths that the basis is computed from
_IKC_SIGNS = 1, 1, 1, -1, 1, 1, 1, 1, -1, 1  # of the authors' directions against those of ``pca_basis``
_UNUSED = "sft_branch."  # a second set of blocks in the authors' files that nothing uses


def load_official_ikc(
    sftmd: str | os.PathLike,
    *,
    predictor: str | os.PathLike,
    corrector: str | os.PathLike,
    pca: str | os.PathLike,
) -> Bundle:
    """Read an IKC of any sizes.

    Args:
      sftmd, predictor, corrector: the authors' checkpoints, or those of DAN's authors, who trained IKC again.
      pca: file of the PCA basis [K², L] that the three were trained with (.pth or .npy): ``codes/pca_matrix.pth`` of
        IKC's authors, which is also DANv1's, or ``pca_matrix/IKC/pca_matrix.pth`` of DAN's. ``ikc`` stands for
        ``computed_basis``.

    Raises:
      WeightsError: a file cannot be read safely, is not what it should be, or does not fit the others.
    """
    parts = {
        "SFTMD": _read(sftmd, "SFTMD", {"SFT-residual1.conv1.weight"}),
        "Predictor": _read(predictor, "Predictor", {"ConvNet.0.weight"}, without="code_dense.0.weight"),
        "Corrector": _read(corrector, "Corrector", {"ConvNet.0.weight", "code_dense.0.weight"}),
    }
    parts["SFTMD"] = _with_numbered_blocks(parts["SFTMD"])
    basis = _read_basis(pca)
    state = {f"{part}.{name}": x for part, tensors in parts.items() for name, x in tensors.items()}
    sizes, stages = _sizes(sftmd, state)
    if sizes["code_length"] != basis.shape[1]:
        raise WeightsError(f"{pca}: codes of length {basis.shape[1]}, those of {sftmd} have {sizes['code_length']}")
    sizes = {"name": "ikc", "kernel_size": round(basis.shape[0] ** 0.5), **sizes}
    source: dict[str, typing.Any] = {
        name: {"file": pathlib.Path(path).name, "sha256": digest_of(path)}
        for name, path in {"predictor": predictor, "corrector": corrector}.items()
    }
    source["pca"] = pathlib.Path(pca).name
    return bundle_from_tensors(sftmd, sizes, stages, state, constants={"pca_basis": basis}, source=source)


def computed_basis() -> np.ndarray:
    """Compute the basis [441, 10] of IKC's authors, of round Gaussians of 0.2 to 4 HR pixels, in their signs.

    Theirs comes from a random draw of such kernels. No entry of it differs from this one by more than 0.003.
    """
    size, (narrowest, widest), count = _IKC_KERNELS
    places = (np.arange(count) + 0.5) / count
    kernels = isotropic_gaussian(jnp.asarray(narrowest + (widest - narrowest) * places, jnp.float32), size)
    return pca_basis(kernels, len(_IKC_SIGNS)) * np.asarray(_IKC_SIGNS, np.float32)


def _read(path: str | os.PathLike, part: str, wanted: set[str], *, without: str = "") -> State:
    state = read_torch_checkpoint(path)
    if not wanted <= state.keys() or without in state:
        raise WeightsError(f"{path}: these tensors ({', '.join(list(state)[:3])}, …) are not those of IKC's {part}")
    return state


def _with_numbered_blocks(state: State) -> State:
    """Number the blocks from zero, below one name, and leave out what nothing uses."""
    renamed = {}
    for name, x in state.items():
        if name.startswith(_UNUSED):
            continue
        match = _BLOCK.fullmatch(name)
        renamed[f"body.{int(match[1]) - 1}.{match[2]}" if match else name] = x
    return renamed


def _sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "SFTMD.conv1.weight")
    scale, stages = scale_of_stages(path, state, "SFTMD.upscale", features, second=3)
    return {
        "scale": scale,
        "code_length": max(width_of(path, state, "SFTMD.sft.mul_conv1.weight", axis=1) - features, 0),
        "features": features,
        "blocks": count_of(state, "SFTMD.body."),
        "predictor_features": width_of(path, state, "Predictor.ConvNet.0.weight"),
        "corrector_features": width_of(path, state, "Corrector.ConvNet.0.weight"),
    }, stages


def _read_basis(pca: str | os.PathLike) -> np.ndarray:
    if str(pca) == COMPUTED:
        return computed_basis()
    if not pathlib.Path(pca).exists():
        raise WeightsError(
            f"{pca}: there is no such file. Give the PCA basis that the weights were trained with: "
            "codes/pca_matrix.pth of IKC's authors, nearly which 'ikc' computes, or pca_matrix/IKC/pca_matrix.pth of "
            "DAN's, who trained IKC again"
        )
    try:
        basis = np.load(pca, allow_pickle=False) if pathlib.Path(pca).suffix == ".npy" else read_torch_tensor(pca)
    except (ValueError, EOFError) as error:
        raise WeightsError(f"{pca}: is not an array: {error}") from None
    size = round(basis.shape[0] ** 0.5) if basis.ndim == 2 else 0
    if size % 2 == 0 or basis.shape[0] != size**2 or basis.dtype != np.float32:
        raise WeightsError(f"{pca}: an array of shape {basis.shape} and type {basis.dtype} is no PCA basis of kernels")
    return basis
