"""Values of a traced function while it is written: arrays that are known, and tensors of the ONNX graph."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

Dimension = typing.Any  # an int, or a symbol of ``jax.export``
Shape = tuple[Dimension, ...]


@dataclasses.dataclass(frozen=True)
class Known:
    """An array that is known while writing.

    Attributes:
      array: its values; an axis that is stretched has one element.
      shape: the shape that JAX sees.
    """

    array: np.ndarray
    shape: Shape

    @property
    def order(self) -> tuple[int, ...]:
        """See ``Tensor``."""
        return tuple(range(len(self.shape)))

    @property
    def stretched(self) -> frozenset[int]:
        """See ``Tensor``."""
        return frozenset(
            i for i, (have, want) in enumerate(zip(self.array.shape, self.shape)) if have == 1 and want != 1
        )

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self.array.dtype

    def whole(self) -> np.ndarray | None:
        """Return the array without stretched axes; None if a size is a symbol."""
        if not all(isinstance(size, int) for size in self.shape):
            return None
        return np.broadcast_to(self.array, self.shape)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
      name: in the graph.
      shape: the shape that JAX sees.
      order: the axis of ``shape`` that lies at each place of the tensor.
      stretched: axes of ``shape`` along which all elements are equal, and of which the tensor has only one.
      dtype: type of the elements.
    """

    name: str
    shape: Shape
    order: tuple[int, ...]
    stretched: frozenset[int]
    dtype: np.dtype

    @property
    def held(self) -> Shape:
        """The shape of the tensor in the graph."""
        return tuple(1 if axis in self.stretched else self.shape[axis] for axis in self.order)

    def place(self, axis: int) -> int:
        """Return where an axis lies in the tensor."""
        return self.order.index(axis)


Value = Known | Tensor


def known(array: typing.Any) -> Known:
    """Return a known array of its own shape."""
    array = np.asarray(array)
    return Known(array, array.shape)
