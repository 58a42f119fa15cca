"""``ExportedModel``: an exported file, ready to restore whole pictures."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import typing

import numpy as np

from blindsr_jax.errors import DataError, WeightsError
from blindsr_jax.export import onnx_files, stablehlo
from blindsr_jax.export.sidecar import Description, read_description, sidecar_path
from blindsr_jax.export.writing import LAYOUTS
from blindsr_jax.inference.inputs import checked_batch
from blindsr_jax.inference.restore import RestoresImages
from blindsr_jax.inference.restorer import Border
from blindsr_jax.types import SROutput

_WHOLE = "an exported model sees whole pictures: leave tiles out"
_OPENERS = {".stablehlo": stablehlo.opened, ".onnx": onnx_files.opened}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExportedModel(RestoresImages):
    """A file of ``blindsr export``: one scale, one number of steps, no known kernel, no tiles. A ``Restorer``.

    Attributes:
      path: the file.
      description: what its sidecar says.
      run: from images in the file's layout to its outputs.
    """

    path: pathlib.Path
    description: Description
    run: typing.Callable[[typing.Any], tuple[typing.Any, ...]]

    takes_kernel: typing.ClassVar[bool] = False
    needs_kernel: typing.ClassVar[bool] = False
    takes_sigma: typing.ClassVar[bool] = False
    takes_padding: typing.ClassVar[bool] = False
    unfolds: typing.ClassVar[bool] = False
    iterations: typing.ClassVar[None] = None
    kernel_space: typing.ClassVar[typing.Literal["hr"]] = "hr"
    downsample: typing.ClassVar[typing.Literal["bicubic"]] = "bicubic"
    kernel_size: typing.ClassVar[None] = None
    pca_basis: typing.ClassVar[None] = None
    estimator: typing.ClassVar[None] = None
    border: typing.ClassVar[Border] = "reflect"
    whole_only: typing.ClassVar[str] = _WHOLE

    def __repr__(self) -> str:
        return f"ExportedModel({self.path}, ×{self.scale})"

    @property
    def scale(self) -> int:
        """s."""
        return self.description.scale

    @property
    def scales(self) -> tuple[int, ...]:
        """Its one scale."""
        return (self.scale,)

    @property
    def network(self) -> str:
        """Name in messages."""
        return f"the exported {self.description.network}"

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return self.description.parameters

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def restores(self) -> bool:
        """Whether an image comes out."""
        return "image" in self.description.outputs

    @property
    def estimates_kernel(self) -> bool:
        """Whether the kernel was exported too."""
        return "kernel" in self.description.outputs

    def __call__(
        self,
        lr: typing.Any,
        *,
        kernel: typing.Any = None,
        iterations: int | None = None,
        trace: bool = False,
        image_only: bool = False,
    ) -> SROutput:
        """Restore a batch [B, H, W, 3].

        Raises:
          DataError: an image is smaller than the file allows, or an option is given that was fixed at export.
        """
        if kernel is not None or iterations is not None or trace:
            raise DataError(f"{self.network} takes no kernel, number of iterations or trace: use the model itself")
        lr, least = checked_batch(lr, None), self.description.least_side
        if min(lr.shape[1:3]) < least:
            size = "x".join(map(str, lr.shape[2:0:-1]))
            raise DataError(f"{self.network} restores pictures of at least {least}x{least} pixels, not {size}")
        outputs = self.run(lr.transpose(0, 3, 1, 2) if self.description.layout == "NCHW" else lr)
        found = dict(zip(self.description.outputs, map(np.asarray, outputs)))
        return SROutput(sr=self._checked(found.get("image"), lr.shape), kernel=found.get("kernel"), lr=lr)

    def _checked(self, image: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
        """The image in NHWC. Raises WeightsError if it does not have the size that the sidecar says."""
        if image is None:
            return None
        image = image.transpose(0, 2, 3, 1) if self.description.layout == "NCHW" else image
        if image.shape != (shape[0], self.scale * shape[1], self.scale * shape[2], 3):
            sidecar = sidecar_path(self.path)
            raise WeightsError(f"{sidecar}: belongs to another file than {self.path.name}: export it again")
        return image

    def reported(self, images: typing.Any) -> typing.Any:
        """Return the images themselves: there are no steps."""
        return images

    def at_scale(self, scale: int) -> ExportedModel:
        """Return the model itself. Raises DataError for any other scale."""
        if scale != self.scale:
            raise DataError(f"{self.network} works at scale {self.scale}, not {scale}")
        return self

    def in_precision(self, precision: str) -> ExportedModel:
        """Return the model itself. Raises DataError for another precision than float32."""
        if precision != "float32":
            raise DataError(f"{self.network} computes in float32")
        return self

    def with_kernel_window(self, side: int) -> ExportedModel:
        """Raise DataError: the file sees what it is given."""
        raise DataError(f"{self.network} looks at whole pictures")

    def with_sigma(self, sigma: float) -> ExportedModel:
        """Return the model itself for σ = 0. Raises DataError for another noise level."""
        if sigma:
            raise DataError(f"{self.network} takes no noise level")
        return self

    def with_watch(self, watch: typing.Any) -> ExportedModel:
        """Return the model itself: it does not learn from the picture."""
        return self

    def with_seconds(self, seconds: float) -> typing.NoReturn:
        """Raise DataError: the model does not learn from the picture."""
        raise DataError(f"{self.network} does not learn from the picture: leave the seconds out")

    def shard_rows(self) -> typing.NoReturn:
        """Raise DataError: the file is a program for one device."""
        raise DataError(f"{self.network} runs on one device: its rows cannot be shared")

    def with_border(self, border: str) -> ExportedModel:
        """Return the model itself: it uses the same border for all images."""
        return self

    def estimate(self, pixels: typing.Any, *, iterations: int | None = None, trace: bool = False) -> SROutput:
        """Estimate the kernel of one image."""
        return self(pixels.rgb()[None], iterations=iterations, trace=trace)

    def _refuse(self, *_: typing.Any, **__: typing.Any) -> typing.Any:
        raise DataError(_WHOLE)

    padded_to = tile_context = restore_tiles = tile_means = _refuse


def is_exported(path: pathlib.Path) -> bool:
    """Whether a name is that of an exported file."""
    return path.suffix in _OPENERS


def open_exported(path: pathlib.Path) -> ExportedModel:
    """Open a file of ``blindsr export``.

    Raises:
      WeightsError: the file or its sidecar is missing or damaged.
      DataError: the library that runs it is not installed.
    """
    description, layout = read_description(path), LAYOUTS[path.suffix]
    if description.layout != layout:
        raise WeightsError(f"{sidecar_path(path)}: layout is {description.layout}, where {path.suffix} has {layout}")
    return ExportedModel(path, description, _OPENERS[path.suffix](path))
