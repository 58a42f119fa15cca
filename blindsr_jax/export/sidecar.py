"""The description beside an exported file, in JSON: what whoever runs it must know."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing

from blindsr_jax.errors import WeightsError
from blindsr_jax.export.program import Layout

_KIND = "blindsr_jax exported model"
_OUTPUTS = (("image",), ("image", "kernel"), ("kernel",))


@dataclasses.dataclass(frozen=True)
class Description:
    """Facts about an exported file.

    Attributes:
      model: name of the weights.
      network: name of the network.
      scale: s.
      layout: axes of the images: ``NHWC`` or ``NCHW``.
      outputs: names of the outputs in order: ``image``, ``kernel``.
      least_side: height and width of the LR images are at least this.
      iterations: unfolded steps; None for networks of one pass.
      parameters: number of trained parameters.
      license: licence of the weights.
      version: version of this package that wrote the file.
      values: range and type of the images.
    """

    model: str
    network: str
    scale: int
    layout: Layout
    outputs: tuple[str, ...]
    least_side: int
    iterations: int | None
    parameters: int
    license: str
    version: str
    values: str = "float32 RGB in [0, 1]; the restored images are not clipped"

    def as_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"kind": _KIND, **dataclasses.asdict(self)}, indent=1) + "\n"


def sidecar_path(path: pathlib.Path) -> pathlib.Path:
    """Return where the description of an exported file lies."""
    return path.with_name(path.name + ".json")


def read_description(path: pathlib.Path) -> Description:
    """Read the description beside an exported file.

    Raises:
      WeightsError: there is none, or it is no such description.
    """
    sidecar = sidecar_path(path)
    try:
        found: dict[str, typing.Any] = json.loads(sidecar.read_text(encoding="utf-8"))
        if found.pop("kind") != _KIND:
            raise ValueError(f"its kind is not {_KIND!r}")
        description = Description(**{**found, "outputs": tuple(found["outputs"])})
        for field, sound in (
            ("layout", description.layout in typing.get_args(Layout)),
            ("outputs", description.outputs in _OUTPUTS),
            *((field, _is_count(getattr(description, field))) for field in ("scale", "least_side")),
        ):
            if not sound:
                raise ValueError(f"{field} cannot be {found[field]!r}")
    except OSError as error:
        raise WeightsError(f"{sidecar}: {error.strerror}; 'blindsr export' writes it beside {path.name}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{sidecar}: not the description that 'blindsr export' writes: {error}") from None
    return description


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1
