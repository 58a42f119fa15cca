"""Bundles: a model in one .safetensors file, with its arrays by path and a JSON description in the metadata.

A parameter's name is its path in the module tree (``restorer/body/0/conv1/kernel``). Constants are below
``constants/``. Reading executes nothing from the file. It checks every name, shape and type, that all numbers are
finite, and the checksum. Bundles of earlier versions have no checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import typing

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.errors import BlindSRError, DataError, WeightsError
from blindsr_jax.files import atomic_path, open_regular
from blindsr_jax.networks.chain import unstack_chains
from blindsr_jax.networks.registry import MODELS, build, init_variables, module_of
from blindsr_jax.weights.descriptions import check_metadata, check_sizes

FORMAT_VERSION = 1
_CHECKSUM = "sha256"
_MODULE = "module"  # the Python module that registered the network, if that is the user's own


@dataclasses.dataclass(frozen=True)
class Bundle:
    """The content of a bundle file.

    Attributes:
      variables: ``{"params": …, "constants": …}`` with NumPy arrays. ``load_bundle`` gives each block of a chain its
        own subtree; ``save_bundle`` also accepts stacked chains.
      model: arguments of ``networks.build``, including the name.
      metadata: free JSON about the weights: ``protocol`` (the degradation trained for), ``source`` and ``scores``.
    """

    variables: dict[str, typing.Any]
    model: dict[str, typing.Any]
    metadata: dict[str, typing.Any] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{key}={value!r}" for key, value in self.model.items())
        return f"Bundle({sizes}; {len(jax.tree.leaves(self.variables))} arrays)"


def save_bundle(path: str | os.PathLike, bundle: Bundle) -> None:
    """Write a bundle atomically.

    Raises:
      WeightsError: the arrays do not fit the model, or are not finite.
      DataError: the file cannot be written.
    """
    arrays = _flatten(bundle.variables)
    check_arrays(path, arrays, bundle.model)
    header = {"format": "blindsr_jax", "format_version": FORMAT_VERSION, "model": bundle.model, **bundle.metadata}
    if module := module_of(bundle.model["name"]):
        header[_MODULE] = module
    # safetensors writes an array's buffer regardless of its strides, so every array must be contiguous.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header[_CHECKSUM] = _checksum(header, arrays)
    data = safetensors.numpy.save(arrays, {"blindsr_jax": json.dumps(header, sort_keys=True)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def load_bundle(path: str | os.PathLike) -> Bundle:
    """Read a bundle and check it against the model that it describes.

    Raises:
      WeightsError: the file is missing, damaged, not a bundle, of a newer format, or of an unregistered network; an
        array is missing, unexpected, of a wrong shape or type, or not finite (the message names it); or the checksum
        differs.
    """
    path = pathlib.Path(path)
    try:
        open_regular(path).close()
        with safetensors.safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("blindsr_jax")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except DataError as error:  # missing, not allowed, or a pipe
        raise WeightsError(str(error)) from None
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not a sound .safetensors file ({error})") from None
    header = _parse_header(path, text)
    checksum = header.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(header, arrays):
        raise WeightsError(f"{path}: damaged, its checksum differs; copy or download it again")
    model, module = header.pop("model"), header.get(_MODULE)
    if module and model["name"] not in MODELS:
        raise WeightsError(
            f"{path}: its network {model['name']!r} was registered by the module {module}: import that module first"
        )
    check_arrays(path, arrays, model)
    metadata = {key: value for key, value in header.items() if key not in ("format", "format_version")}
    check_metadata(path, metadata)
    return Bundle(_unflatten(arrays), model, metadata)


def _parse_header(path: pathlib.Path, text: str | None) -> dict[str, typing.Any]:
    if text is None:
        raise WeightsError(f"{path}: no bundle of this package; make one with 'blindsr convert'")
    try:
        header = json.loads(text)
        version, model = header["format_version"], header["model"]
        sound = isinstance(version, int) and isinstance(model, dict) and isinstance(model["name"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise WeightsError(f"{path}: the description inside the bundle is damaged")
    if version > FORMAT_VERSION:
        raise WeightsError(f"{path}: bundle format {version} is newer than this package reads; upgrade blindsr_jax")
    return header


def _checksum(header: dict[str, typing.Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of a bundle's description and of its arrays in the order of their names."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def check_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray], model: dict[str, typing.Any]) -> None:
    """Check that the arrays are exactly those of a model, with its shapes, in float32 and finite.

    Args:
      path: the file's name in messages.
      arrays: arrays by their names in a bundle.
      model: arguments of ``networks.build``.

    Raises:
      WeightsError: the model cannot be built or is too large, or an array does not fit; the message names it.
    """
    check_sizes(path, model, len(arrays))
    try:
        module = build(**model)
        shapes = jax.eval_shape(lambda: init_variables(module, jax.random.key(0)))
    except BlindSRError as error:
        raise WeightsError(f"{path}: {error}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"{path}: describes a model that cannot be built ({error})") from None
    expected = _flatten(shapes)
    for name in sorted(expected.keys() - arrays.keys()):
        raise WeightsError(f"{path}: the array {name} of shape {expected[name].shape} is missing")
    for name in sorted(arrays.keys() - expected.keys()):
        raise WeightsError(f"{path}: the array {name} is no part of model {model['name']!r}")
    for name, array in arrays.items():
        shape = expected[name].shape
        if array.shape != shape:
            raise WeightsError(f"{path}: the array {name} has shape {array.shape}, the model's is {shape}")
        if array.dtype != np.float32:
            raise WeightsError(f"{path}: the array {name} is {array.dtype}, float32 was expected")
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: the array {name} has numbers that are not finite; take an earlier checkpoint")


def _flatten(variables: dict[str, typing.Any]) -> dict[str, typing.Any]:
    constants = flatten_dict(variables.get("constants", {}), sep="/")
    params = unstack_chains(variables["params"])
    flat = flatten_dict(params, sep="/") | {f"constants/{name}": x for name, x in constants.items()}
    return {name: x if isinstance(x, jax.ShapeDtypeStruct) else np.asarray(x) for name, x in flat.items()}


def _unflatten(arrays: dict[str, np.ndarray]) -> dict[str, typing.Any]:
    prefix = "constants/"
    params = {name: x for name, x in arrays.items() if not name.startswith(prefix)}
    constants = {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
    return {"params": unflatten_dict(params, sep="/"), "constants": unflatten_dict(constants, sep="/")}
