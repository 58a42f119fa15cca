"""The weights that come with the package, by name."""

from __future__ import annotations

import pathlib
import typing

from blindsr_jax.degradations.pools import POOL_SIZES
from blindsr_jax.errors import DataError
from blindsr_jax.weights.bundle import Bundle, load_bundle

PACKAGED = pathlib.Path(__file__).parent / "packaged"

# Models that need no weights, by name: one line on each, and the arguments of ``networks.build``.
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

# For photographs, by scale.
_DEFAULTS = {2: "dan-lite-x2", 3: "dan-lite-x3", 4: "dan-lite-noise-x4"}


def models() -> dict[str, str]:
    """Names of the packaged models that ``load`` takes, each with one line on what it is.

    Returns:
      {name: "×4, gaussian8, 0.30 M parameters, Set5 30.2 dB"}; empty where the package brings no weights.
    """
    return {path.stem: _describe(path) for path in sorted(PACKAGED.glob("*.safetensors"))}


def packaged_path(name: str) -> pathlib.Path | None:
    """The bundle of a packaged model, or None if there is none of that name."""
    path = PACKAGED / f"{name}.safetensors"
    return path if path.is_file() else None


def default_model(scale: int | None = None) -> str:
    """The packaged model that restores photographs, if nobody says which.

    Args:
      scale: 2, 3 or 4; by default 4.

    Raises:
      DataError: there is none for the scale.
    """
    scale = scale or max(_DEFAULTS)
    if scale not in _DEFAULTS:
        raise DataError(f"--scale {scale}: packaged models restore at scales {', '.join(map(str, sorted(_DEFAULTS)))}")
    return _DEFAULTS[scale]


def is_default(name: str) -> bool:
    """Whether photographs are restored by a packaged model, at its scale, if nobody says which."""
    return name in _DEFAULTS.values()


def count_parameters(bundle: Bundle) -> int:
    """The number of a bundle's parameters."""
    return sum(x.size for x in _leaves(bundle.variables["params"]))


def describe(metadata: dict[str, typing.Any], parameters: int) -> list[str]:
    """What is worth saying of weights in one line: what they were trained for, their size, their scores."""
    scores = [_score(*item) for item in sorted(metadata.get("scores", {}).items())]
    parts = [metadata.get("protocol", ""), f"{parameters / 1e6:.2f} M parameters", *scores]
    return [part for part in parts if part]


def _describe(path: pathlib.Path) -> str:
    bundle = load_bundle(path)
    scale = f"×{bundle.model['scale']}" if "scale" in bundle.model else "any scale"
    return ", ".join([scale, *describe(bundle.metadata, count_parameters(bundle))])


def _score(name: str, score: float) -> str:
    return f"{name} {score:.3f}" if name.startswith("kernel l1") else f"{name} {score:.2f} dB"


def _leaves(tree: dict) -> list:
    return [leaf for value in tree.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]
