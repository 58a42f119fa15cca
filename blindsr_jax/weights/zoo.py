"""The packaged weights, by name."""

from __future__ import annotations

import json
import math
import pathlib
import re
import typing

import safetensors

from blindsr_jax.degradations.pools import POOL_SIZES
from blindsr_jax.errors import UsageError

if typing.TYPE_CHECKING:
    from blindsr_jax.weights.bundle import Bundle

PACKAGED = pathlib.Path(__file__).parent / "packaged"

# Models without weights, by name: a one-line description and the arguments of ``networks.build``.
WITHOUT_WEIGHTS: dict[str, tuple[str, dict[str, typing.Any]]] = {
    "dpir-tv": ("any scale, solver: DPIR around total variation", {"name": "dpir", "denoiser": "total_variation"}),
    **{
        f"{kind.replace('_', '-')}-x{scale}": (f"×{scale}, {text}", {"name": kind, "scale": scale})
        for kind, text in (
            ("fixed_gaussian", "kernel estimator: the best Gaussian of our kernel pool, whatever the image"),
            ("model_based", "kernel estimator: blind deblurring of the interpolated image by sparse gradients"),
        )
        for scale in POOL_SIZES
    },
}

# Methods that learn from the picture, by name: as above, with the arguments of ``learners.build_learner``.
LEARNING: dict[str, tuple[str, dict[str, typing.Any]]] = {
    "kernelgan-x2": (
        "×2, kernel estimator: learns the blur from the picture's own patches, without any training before (KernelGAN)",
        {"name": "kernelgan", "scale": 2},
    ),
    "kernelgan-x4": (
        "×4, kernel estimator: the kernel of kernelgan-x2, applied two times",
        {"name": "kernelgan", "scale": 4},
    ),
    "zssr": (
        "×2 to ×4, solver: trains a network on the picture itself to undo a known or estimated blur (ZSSR)",
        {"name": "zssr"},
    ),
}

# The default model for photographs at each scale.
_DEFAULTS = {2: "dan-lite-photo-x2", 3: "dan-lite-x3", 4: "dan-lite-photo-x4"}


def models() -> dict[str, str]:
    """The packaged models: the names that ``load`` accepts, each with a one-line description.

    Returns:
      {name: "×4, gaussian8, 0.30 M parameters, Set5 30.2 dB"}; empty if the installation has no weights.
    """
    return {path.stem: _describe(path) for path in sorted(PACKAGED.glob("*.safetensors"))}


def packaged_path(name: str) -> pathlib.Path | None:
    """The path of a packaged model's bundle, or None if there is no model of that name."""
    path = PACKAGED / f"{name}.safetensors"
    return path if path.is_file() else None


def default_model(scale: int | None = None) -> str:
    """The packaged model that restores photographs if no model is named.

    Args:
      scale: 2, 3 or 4; 4 by default.

    Raises:
      DataError: there is no packaged model for the scale.
    """
    scale = scale or max(_DEFAULTS)
    if scale not in _DEFAULTS:
        raise UsageError(f"--scale {scale}: packaged models restore at scales {', '.join(map(str, sorted(_DEFAULTS)))}")
    return _DEFAULTS[scale]


def is_default(name: str) -> bool:
    """Whether a model is the default for photographs at its scale."""
    return name in _DEFAULTS.values()


def count_parameters(bundle: Bundle) -> int:
    """Number of parameters of a bundle."""
    return sum(x.size for x in _leaves(bundle.variables["params"]))


def describe(metadata: dict[str, typing.Any], parameters: int) -> list[str]:
    """The parts of a one-line description of weights: the degradation trained for, the size and the scores."""
    scores = [_score(*item) for item in sorted(metadata.get("scores", {}).items())]
    parts = [metadata.get("protocol", ""), f"{parameters / 1e6:.2f} M parameters", *scores]
    return [part for part in parts if part]


def use_of(name: str) -> str:
    """The purpose of a packaged model: the first sentence of its text."""
    text = (PACKAGED / f"{name}.md").read_text(encoding="utf-8")
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]


def facts_of(name: str) -> tuple[str, int]:
    """The scale of a packaged model, such as ``×4``, and its number of parameters, from the head of its file."""
    header, parameters = _head(PACKAGED / f"{name}.safetensors")
    return _scale(header["model"]), parameters


def _describe(path: pathlib.Path) -> str:
    header, parameters = _head(path)
    return ", ".join([_scale(header["model"]), *describe(header, parameters)])


def _scale(model: dict[str, typing.Any]) -> str:
    return f"×{model['scale']}" if "scale" in model else "any scale"


def _head(path: pathlib.Path) -> tuple[dict[str, typing.Any], int]:
    """The description inside a packaged bundle, and its number of parameters, without reading its arrays."""
    with safetensors.safe_open(path, framework="numpy") as file:
        names = [name for name in file.keys() if not name.startswith("constants/")]  # noqa: SIM118 (no dict)
        sizes = [math.prod(file.get_slice(name).get_shape()) for name in names]
        return json.loads(file.metadata()["blindsr_jax"]), sum(sizes)


def _score(name: str, score: float) -> str:
    return f"{name} {score:.3f}" if name.startswith("kernel l1") else f"{name} {score:.2f} dB"


def _leaves(tree: dict) -> list:
    return [leaf for value in tree.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]
