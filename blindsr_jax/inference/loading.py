"""Load models by name: packaged models, bundles, runs, official files, and pairs joined by a plus sign."""

from __future__ import annotations

import os
import pathlib
import typing

import jax

from blindsr_jax.errors import WeightsError
from blindsr_jax.inference.exported import ExportedModel, is_exported, open_exported
from blindsr_jax.inference.learning import learning_model
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pipeline import Pipeline, pipeline
from blindsr_jax.inference.solver import Solver
from blindsr_jax.networks.chain import stack_chains
from blindsr_jax.networks.dpir import DPIR
from blindsr_jax.networks.learners import options_from_text
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import build
from blindsr_jax.weights.bundle import Bundle, load_bundle
from blindsr_jax.weights.official import load_official
from blindsr_jax.weights.zoo import LEARNING, WITHOUT_WEIGHTS, models, packaged_path


def load(name_or_path: str | os.PathLike) -> Model | Solver | Pipeline | ExportedModel:
    """Load a model by name (see ``blindsr_jax.models()``), or from a bundle (.safetensors), a run or an official .pth.

    A file of ``blindsr export`` (.stablehlo, .onnx) restores whole pictures. ``ESTIMATOR+SOLVER`` joins two models. The
    models in ``weights.zoo.WITHOUT_WEIGHTS`` need no file: the solver ``dpir-tv``, and the estimators
    ``fixed-gaussian-x4`` and ``model-based-x4``, also at other scales. Neither do those in ``LEARNING``, which learn
    from each picture; options of theirs follow a colon: ``kernelgan-x2:steps=3000+zssr:seconds=60``.

    Raises:
      WeightsError: the model or file does not exist or is not usable.
      ConfigError: a model that learns has no such option or value.
      DataError: the two models cannot be joined.
    """
    name = str(name_or_path)
    if "+" in name and not pathlib.Path(name).exists():
        estimator, _, solver = name.partition("+")
        return pipeline(load(estimator), load(solver))
    if is_exported(pathlib.Path(name)):
        return open_exported(pathlib.Path(name))
    learner, colon, options = name.partition(":")
    if learner in LEARNING:
        fixed = LEARNING[learner][1]
        return learning_model(fixed | (options_from_text(options, fixed) if colon else {}))
    return from_bundle(bundle_named(name))


def bundle_named(name_or_path: str | os.PathLike) -> Bundle:
    """Load the weights and metadata of a single model; for the names see ``load``.

    Raises:
      WeightsError: as ``load``.
    """
    name, path = str(name_or_path), pathlib.Path(name_or_path)
    packaged = packaged_path(name)
    if packaged is not None:
        return load_bundle(packaged)
    if name in WITHOUT_WEIGHTS:
        return Bundle({"params": {}, "constants": {}}, WITHOUT_WEIGHTS[name][1])
    if name and path.is_dir():
        path = path / "model.safetensors"  # the bundle that a training run writes
    if path.suffix == ".safetensors":
        return load_bundle(path)
    if path.suffix in (".pth", ".pt"):
        return load_official(path)
    known, before = ", ".join([*models(), *WITHOUT_WEIGHTS, *LEARNING]), name.partition(":")[0]
    if packaged_path(before) or before in WITHOUT_WEIGHTS:
        raise WeightsError(f"{name}: {before} takes no options; {', '.join(LEARNING)} do")
    raise WeightsError(
        f"{name or 'a model without a name'}: expected one of {known}, "
        "a .safetensors bundle (made by 'blindsr convert') or an official .pth file"
    )


def name_in_reports(name_or_path: str | os.PathLike) -> str:
    """The name in reports of a model that ``load`` takes: its name, or the names of its files without their folders.

    >>> name_in_reports("runs/a/kernelnet.safetensors+weights/usrnet_tiny.pth")
    'kernelnet.safetensors+usrnet_tiny.pth'
    """
    path = pathlib.Path(name_or_path)
    return path.name if path.exists() else "+".join(pathlib.Path(part).name for part in str(name_or_path).split("+"))


def from_bundle(bundle: Bundle) -> Model | Solver:
    """Build the model that a bundle describes; a denoiser becomes a DPIR.

    Raises:
      WeightsError: the bundle is a denoiser of grey images.
    """
    module, variables = build(**bundle.model), jax.device_put(stack_chains(bundle.variables))
    if module.denoises:
        if module.channels != 3:
            raise WeightsError(f"a denoiser of {module.channels} channels: DPIR wants one of colour images")
        module, variables = DPIR(denoiser=module), {"params": {"denoiser": variables["params"]}, "constants": {}}
    return model_of(module, variables, bundle.metadata)


def model_of(
    module: Network, variables: dict[str, typing.Any], metadata: dict[str, typing.Any] | None = None
) -> Model | Solver:
    """Join a network with its weights to a solver or a blind model, depending on the network."""
    kind = Model if module.blind else Solver
    return kind(module, variables, metadata or {})
