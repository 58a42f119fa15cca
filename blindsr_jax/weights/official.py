"""Conversion of the authors' PyTorch checkpoints to bundles. Tensor names and shapes identify network and sizes."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import typing

import numpy as np
from flax.traverse_util import unflatten_dict

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.errors import WeightsError
from blindsr_jax.networks.dcls_estimator import FILTER_SIZES, linear_layers
from blindsr_jax.networks.layers import MEAN_COLOUR
from blindsr_jax.networks.real_dan import STRIDES
from blindsr_jax.papers import SETTING2_SIZE
from blindsr_jax.weights.bundle import Bundle, check_arrays
from blindsr_jax.weights.descriptions import check_sizes
from blindsr_jax.weights.torch_names import to_paths
from blindsr_jax.weights.torch_reader import read_torch_checkpoint
from blindsr_jax.weights.torch_shapes import State, count_of, rename_layers, scale_of, scale_of_stages, width_of

_KERNELDAN_LENGTH = 8  # of its degradation; RealDAN's is longer
BATCH_NORM_EPSILON = 1e-5  # PyTorch's


def load_official(path: str | os.PathLike) -> Bundle:
    """Read a checkpoint of DANv1, DANv2, DSSR, DCLS, DASR, KernelDAN, RealDAN, USRNet or DRUNet of any sizes.

    The kernel of a DCLS with K = 11 gets a softmax, as the authors' weights for setting 2 ×2 want. No tensor tells.

    Raises:
      WeightsError: the file cannot be read safely, its model is unknown, or its tensors do not fit the model.
    """
    return bundle_of_state(path, read_torch_checkpoint(path))


def bundle_of_state(path: str | os.PathLike, state: State) -> Bundle:
    """``load_official`` for tensors by PyTorch's names that were read from a file in another way; they are used up.

    Args:
      path: the file; the bundle says its name and digest.
      state: arrays by PyTorch's names.

    Raises:
      WeightsError: the model of the tensors is unknown, or they do not fit it.
    """
    name = _recognise(path, state)
    constants = {"pca_basis": _take_basis(path, state)} if name.startswith("dan") else {}
    sizes, parts = _SIZES[name](path, state)
    sizes = {"name": name, **_kernel_sizes(constants), **sizes}
    check_sizes(path, sizes, len(state))
    given = _PREPARED[name](path, state) if name in _PREPARED else {}
    return bundle_from_tensors(path, sizes, parts, state, given=given, constants=constants)


def bundle_from_tensors(
    path: str | os.PathLike,
    sizes: dict[str, typing.Any],
    parts: int,
    state: State,
    *,
    constants: State,
    given: State | None = None,
    source: dict[str, typing.Any] | None = None,
) -> Bundle:
    """Make a bundle of the tensors of a checkpoint, each of which must have its place in the network.

    Args:
      path: the checkpoint; the bundle says its name and digest.
      sizes: arguments of ``networks.build``.
      parts: see ``torch_names.to_paths``.
      state: arrays by PyTorch's names.
      constants: constants of the network by name.
      given: parameters by path that are no layers.
      source: what else the bundle says of its origin.

    Raises:
      WeightsError: a tensor has no place in the network, is missing or has another shape.
    """
    params, unknown = to_paths(sizes["name"], parts, state)
    params |= given or {}
    if unknown:
        raise WeightsError(f"{path}: looks like {sizes['name']}, but the tensor {unknown[0]} has no place in it")
    check_arrays(path, params | {f"constants/{key}": x for key, x in constants.items()}, sizes)
    origin = {"file": pathlib.Path(path).name, "sha256": digest_of(path), **(source or {})}
    return Bundle({"params": unflatten_dict(params, sep="/"), "constants": constants}, sizes, {"source": origin})


def digest_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def _recognise(path: str | os.PathLike, state: State) -> str:
    if "Restorer.head2.weight" in state:
        return "danv2"
    if "Restorer.head.weight" in state and "Estimator.out.weight" in state:
        return "danv1"
    if "Estimator.dec.0.weight" in state:
        return "dcls"
    if "G.body.0.body.0.da_conv1.kernel.0.weight" in state:
        return "dasr"
    if "init_deg" in state:
        return "kerneldan" if state["init_deg"].size == _KERNELDAN_LENGTH else "realdan"
    if "compress_in.weight" in state:
        return "dssr"
    if "p.m_head.weight" in state and "h.mlp.0.weight" in state:
        return "usrnet"
    if "m_head.weight" in state and "m_tail.weight" in state:
        return "drunet"
    if "SFT-residual1.conv1.weight" in state or "ConvNet.0.weight" in state:
        raise WeightsError(
            f"{path}: is one of the three files of an IKC: join them with 'blindsr convert SFTMD.pth --predictor P.pth "
            "--corrector C.pth --pca pca_matrix.pth -o ikc.safetensors'"
        )
    raise WeightsError(f"{path}: these tensors ({', '.join(list(state)[:3])}, …) are of no model known here")


def _take_basis(path: str | os.PathLike, state: State) -> np.ndarray:
    """Pop the PCA basis [K², L] from the state. Also pop the Dirac kernel and its code, and check them against it."""
    try:
        basis, kernel, code = (state.pop(key)[0] for key in ("encoder", "init_kernel", "init_ker_map"))
    except KeyError as error:
        raise WeightsError(f"{path}: the tensor {error.args[0]} is missing") from None
    except IndexError:
        raise WeightsError(f"{path}: its PCA basis, initial kernel or initial code is empty") from None
    size = round(basis.shape[0] ** 0.5) if basis.ndim == 2 else 0
    sound = size % 2 == 1 and basis.shape[0] == size**2 and code.shape == basis.shape[1:]
    if not sound or kernel.shape != (size, size) or not np.array_equal(kernel, np.asarray(dirac(size))):
        raise WeightsError(f"{path}: its PCA basis and initial kernel do not have the shapes of a DAN")
    if not np.allclose(kernel.reshape(-1) @ basis, code, atol=1e-5):
        raise WeightsError(f"{path}: its initial code is not that of the Dirac kernel in its PCA basis")
    return np.ascontiguousarray(basis)


def _kernel_sizes(constants: State) -> dict[str, int]:
    if not constants:
        return {}
    basis = constants["pca_basis"]
    return {"kernel_size": round(basis.shape[0] ** 0.5), "code_length": basis.shape[1]}


def _danv1_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "Restorer.head.weight")
    scale, stages = scale_of(path, state, "Restorer.upscale", features)
    return {
        "scale": scale,
        "features": features,
        "blocks": count_of(state, "Restorer.body."),
        "estimator_features": width_of(path, state, "Estimator.head_LR.weight"),
        "estimator_blocks": count_of(state, "Estimator.body."),
    }, stages


def _danv2_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "Restorer.head1.weight")
    scale, stages = scale_of(path, state, "Restorer.upscale", features)
    return {
        "scale": scale,
        "features": features,
        "groups": count_of(state, "Restorer.body."),
        "blocks": count_of(state, "Restorer.body.0.body."),
        "estimator_features": width_of(path, state, "Estimator.head_LR.0.weight"),
        "estimator_blocks": count_of(state, "Estimator.body.body."),
    }, stages


def _dssr_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "conv1.weight")
    scale, stages = scale_of(path, state, "UPNet", features)
    return {
        "scale": scale,
        "features": features,
        "blocks": count_of(state, "feat_ext.crb.crb."),
        "refine_blocks": count_of(state, "feat_refine.crb.crb."),
    }, stages


def _dcls_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "Restorer.conv_first.weight")
    scale, stages = scale_of(path, state, "Restorer.upscale", features)
    kernel_size = _kernel_size_of_filters(path, state)
    return {
        "scale": scale,
        "kernel_size": kernel_size,
        "features": features,
        "reduction": features // max(width_of(path, state, "Restorer.head1.weight"), 1),
        "groups": count_of(state, "Restorer.body."),
        "blocks": count_of(state, "Restorer.body.0.body."),
        "latent_features": width_of(path, state, "Estimator.tail.4.weight"),
        "kernel_softmax": kernel_size == 11,
    }, stages


def _kernel_size_of_filters(path: str | os.PathLike, state: State) -> int:
    """K of DCLS's linear network, from the lengths of the biases that hold the filters of its layers."""
    lengths = tuple(state[name].size for name in sorted(state) if re.fullmatch(r"Estimator\.dec\.\d\.bias", name))
    for kernel_size, sizes in FILTER_SIZES.items():
        if lengths == tuple(inner * outer * size**2 for inner, outer, size in linear_layers(sizes)):
            return kernel_size
    known = ", ".join(map(str, FILTER_SIZES))
    raise WeightsError(f"{path}: the filters of its Estimator (Estimator.dec) make no kernel of {known} pixels")


def _dasr_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features = width_of(path, state, "G.head.0.weight")
    scale, stages = scale_of_stages(path, state, "G.tail.0", features)
    return {
        "scale": scale,
        "features": features,
        "code_features": width_of(path, state, "G.compress.0.weight", dimensions=2),
        "groups": max(count_of(state, "G.body.") - 1, 0),
        "blocks": max(count_of(state, "G.body.0.body.") - 1, 0),
        "encoder_features": [width_of(path, state, f"E.encoder_q.E.{i}.weight") for i in (0, 6, 12)],
    }, stages


def _prepare_dasr(path: str | os.PathLike, state: State) -> State:
    """Fold the batch normalisation of a DASR's Encoder into its convolutions, and check its mean colour.

    The perceptron, the momentum copy and the queue of its contrastive loss are left out. The convolutions after its
    blocks and groups, whose names depend on their number, are renamed.
    """
    contrastive = ("E.encoder_q.mlp.", "E.encoder_k.", "E.queue")
    for name in [name for name in state if name.startswith(contrastive) or name.endswith(".num_batches_tracked")]:
        del state[name]
    for name, sign in (("G.sub_mean", -255), ("G.add_mean", 255)):
        weight, bias = state.pop(f"{name}.weight", None), state.pop(f"{name}.bias", None)
        wanted = np.eye(3)[..., None, None], sign * np.array(MEAN_COLOUR)
        if not all(
            x is not None and x.shape == w.shape and np.allclose(x, w, atol=1e-3)
            for x, w in zip((weight, bias), wanted)
        ):
            raise WeightsError(f"{path}: its mean of colours ({name}) is not that of a DASR")
    for i in range(0, 18, 3):
        _fold_batch_norm(path, state, f"E.encoder_q.E.{i}", f"E.encoder_q.E.{i + 1}")
    groups, blocks = (count_of(state, prefix) - 1 for prefix in ("G.body.", "G.body.0.body."))
    places = {f"G.body.{groups}": "G.fusion"} | {f"G.body.{n}.body.{blocks}": f"G.body.{n}.out" for n in range(groups)}
    rename_layers(state, places)
    return {}


def _fold_batch_norm(path: str | os.PathLike, state: State, convolution: str, normalisation: str) -> None:
    """Pop a batch normalisation after a convolution, and let the convolution compute the same by itself."""
    try:
        gain, offset, mean, variance = (
            state.pop(f"{normalisation}.{name}").astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        weight, bias = (state[f"{convolution}.{name}"] for name in ("weight", "bias"))
    except KeyError as error:
        raise WeightsError(f"{path}: the tensor {error.args[0]} is missing") from None
    if not {x.shape for x in (gain, offset, mean, variance, bias)} == {weight.shape[:1]} or not (variance >= 0).all():
        raise WeightsError(f"{path}: the batch normalisation {normalisation} does not fit its convolution")
    gain /= np.sqrt(variance + BATCH_NORM_EPSILON)
    state[f"{convolution}.weight"] = (weight * gain.reshape(-1, 1, 1, 1)).astype(np.float32)
    state[f"{convolution}.bias"] = ((bias - mean) * gain + offset).astype(np.float32)


def _take_first_degradation(path: str | os.PathLike, state: State) -> State:
    """Pop what is no layer of a RealDAN: its first degradation, and the mean of colours, which is checked.

    The last convolution of the Estimator, whose name depends on the number of blocks, is renamed.
    """
    mean, last = state.pop("mean", None), f"Estimator.body.{count_of(state, 'Estimator.body.') - 1}"
    if mean is None or mean.size != len(MEAN_COLOUR) or not np.allclose(mean.ravel(), MEAN_COLOUR, atol=1e-6):
        raise WeightsError(f"{path}: its mean of colours is not that of a RealDAN")
    rename_layers(state, {last: "Estimator.out"})
    return {"initial_degradation": np.ascontiguousarray(state.pop("init_deg").ravel())}


def _realdan_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features, estimator_blocks = width_of(path, state, "img_head.weight"), count_of(state, "Estimator.body.") - 1
    scale, stages = scale_of_stages(path, state, "img_tail.1", features)
    sizes = [size for size, strides in STRIDES.items() if len(strides) == estimator_blocks]
    if not sizes:
        raise WeightsError(f"{path}: its Estimator has {estimator_blocks} blocks, which none known here has")
    return {
        "scale": scale,
        "degradation_length": state["init_deg"].size,
        "features": features,
        "blocks": count_of(state, "Restorer.body."),
        "body": "rrdb" if "Restorer.body.0.rdb1.conv1.weight" in state else "edsr",
        "estimator_size": sizes[0],
    }, stages


def _kerneldan_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    sizes, stages = _realdan_sizes(path, state)
    return sizes | {"kernel_size": SETTING2_SIZE[sizes["scale"]]}, stages


def _usrnet_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features, blocks = _resunet_sizes(path, state, "p.")
    return {
        "iterations": width_of(path, state, "h.mlp.4.weight") // 2,
        "hyper_features": width_of(path, state, "h.mlp.0.weight"),
        "features": features,
        "blocks": blocks,
    }, blocks


def _drunet_sizes(path: str | os.PathLike, state: State) -> tuple[dict[str, typing.Any], int]:
    features, blocks = _resunet_sizes(path, state, "")
    return {
        "features": features,
        "blocks": blocks,
        "channels": width_of(path, state, "m_tail.weight"),
        "bias": "m_head.bias" in state,
    }, blocks


def _resunet_sizes(path: str | os.PathLike, state: State, prefix: str) -> tuple[list[int], int]:
    """Channels at each of the four sizes, and number of blocks at each. A strided convolution follows the blocks."""
    blocks = max(count_of(state, f"{prefix}m_down1.") - 1, 0)
    widths = [width_of(path, state, f"{prefix}m_down{level}.{blocks}.weight") for level in (1, 2, 3)]
    return [width_of(path, state, f"{prefix}m_head.weight"), *widths], blocks


_SIZES: dict[str, typing.Callable[..., tuple[dict[str, typing.Any], int]]] = {
    "danv1": _danv1_sizes,
    "danv2": _danv2_sizes,
    "dssr": _dssr_sizes,
    "dcls": _dcls_sizes,
    "dasr": _dasr_sizes,
    "kerneldan": _kerneldan_sizes,
    "realdan": _realdan_sizes,
    "usrnet": _usrnet_sizes,
    "drunet": _drunet_sizes,
}


# What is done to the tensors of a file before they are renamed, and the parameters that are found on the way.
_PREPARED: dict[str, typing.Callable[[str | os.PathLike, State], State]] = {
    "dasr": _prepare_dasr,
    "kerneldan": _take_first_degradation,
    "realdan": _take_first_degradation,
}
