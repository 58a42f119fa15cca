"""Reader for the numbers in MATLAB's .mat files, versions 5 to 7.2. The sizes in a file are not trusted.

A file is a list of elements: a tag (type, number of bytes) and the bytes. A variable is an element of type
``miMATRIX``, often compressed by zlib. It holds further elements: class, dimensions, name and numbers. Only full arrays
of numbers and cells of them are read. See MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import struct
import typing
import zlib

import numpy as np

from blindsr_jax.errors import DataError

MOST_NUMBERS = 2**24  # of a variable: far more than pools of kernels have
MOST_MEMBERS = 2**15  # kernels of a file

_MOST_BYTES = 8 * MOST_NUMBERS + 2**20  # of a variable after decompression
_MOST_VARIABLES = 1024

_HEADER = 128  # bytes
_MATRIX, _COMPRESSED, _CELL = 14, 15, 1
_COMPLEX = 0x800  # bit of a variable's flags
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # by element
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {2: "a struct", 3: "an object", 4: "text", 5: "a sparse matrix", 16: "a function", 17: "an object"}


class Variable(typing.NamedTuple):
    """A variable whose numbers have not been read yet.

    Attributes:
      name: its name in MATLAB.
      read: returns the array, or the list of a cell's arrays in MATLAB's order. Raises DataError if it holds anything
        else than numbers, is damaged or too large.
    """

    name: str
    read: typing.Callable[[], np.ndarray | list[np.ndarray]]


def variables_of(data: bytes) -> list[Variable]:
    """List the variables of a .mat file.

    Args:
      data: the file.

    Raises:
      DataError: it is damaged, or of another version. The message names no file.
    """
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise DataError("it does not begin as a .mat file of MATLAB 5 to 7.2")
    order = "<" if data[126:128] == b"IM" else ">"
    found: list[Variable] = []
    rest = _Elements(data[_HEADER:], order)
    while rest.more():
        kind, content = rest.next()
        if kind not in (_MATRIX, _COMPRESSED):
            raise DataError("it is damaged: something else than a variable lies between the variables")
        if len(found) == _MOST_VARIABLES:
            raise DataError(f"it holds more than {_MOST_VARIABLES} variables: save the kernels alone")
        name = _name(_beginning(kind, content), order)
        if name:  # the element without a name belongs to MATLAB's own objects
            found.append(Variable(name, _reader(kind, content, order)))
    return found


def _reader(kind: int, content: bytes | memoryview, order: str) -> typing.Callable[[], np.ndarray | list[np.ndarray]]:
    def read() -> np.ndarray | list[np.ndarray]:
        return _matrix(_inflated(content, order) if kind == _COMPRESSED else content, order, cells=True)

    return read


class _Elements:
    """The elements of a block of bytes, one after the other."""

    def __init__(self, data: bytes | memoryview, order: str):
        self._data, self._order, self._at = memoryview(data), order, 0

    def more(self) -> bool:
        """Whether there is another element."""
        return self._at < len(self._data)

    def next(self) -> tuple[int, bytes | memoryview]:
        """Read the type and the bytes of the next element. Raises DataError if it does not lie in the block."""
        if self._at + 8 > len(self._data):
            raise DataError("it is damaged: it ends in the middle of a variable")
        kind, count = struct.unpack_from(f"{self._order}2I", self._data, self._at)
        start, step = self._at + 8, 8
        if kind >> 16:  # a short element: its bytes lie in the tag
            kind, count, start = kind & 0xFFFF, kind >> 16, self._at + 4
            step = 1
        if start + count > len(self._data) or (step == 1 and count > 4):
            raise DataError("it is damaged: it ends in the middle of a variable")
        end = self._at + 8 if step == 1 else start + count
        self._at = end if kind == _COMPRESSED else end + -end % 8
        return kind, self._data[start : start + count]


def _beginning(kind: int, content: bytes | memoryview) -> bytes | memoryview:
    """The first bytes of a variable, with its name."""
    if kind == _MATRIX:
        return content
    try:
        return zlib.decompressobj().decompress(content, 1024)[8:]
    except zlib.error as error:
        raise DataError(f"it is damaged ({error})") from None


def _inflated(content: bytes | memoryview, order: str) -> bytes | memoryview:
    """The content of the variable inside a compressed element."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(content, _MOST_BYTES)
    except zlib.error as error:
        raise DataError(f"it is damaged ({error})") from None
    if inflater.unconsumed_tail:
        raise DataError(f"a variable has more than {_MOST_BYTES:,} bytes, too many for kernels")
    kind, inner = _Elements(data, order).next()
    if kind != _MATRIX:
        raise DataError("it is damaged: a compressed element holds no variable")
    return inner


def _head(parts: _Elements, order: str) -> tuple[int, list[int], str]:
    """The flags, dimensions and name with which a variable begins."""
    (_, flags), (_, shape), (_, name) = parts.next(), parts.next(), parts.next()
    if len(flags) != 8 or len(shape) % 4 or not 8 <= len(shape) <= 128:
        raise DataError("it is damaged: a variable has no class or no size")
    dimensions = np.frombuffer(shape, f"{order}i4").tolist()
    if min(dimensions) < 0:
        raise DataError("it is damaged: a variable has a negative size")
    return int(np.frombuffer(flags, f"{order}u4")[0]), dimensions, bytes(name).decode("ascii", "replace")


def _name(content: bytes | memoryview, order: str) -> str:
    return _head(_Elements(content, order), order)[2]


def _matrix(content: bytes | memoryview, order: str, *, cells: bool) -> np.ndarray | list[np.ndarray]:
    parts = _Elements(content, order)
    flags, shape, _ = _head(parts, order)
    kind = flags & 0xFF
    if kind == _CELL and cells:
        return _members(parts, order)
    if kind not in _CLASSES or flags & _COMPLEX:
        what = "complex numbers" if kind in _CLASSES else _OTHERS.get(kind, "a cell inside a cell")
        raise DataError(f"a variable holds {what}, where numbers were expected")
    stored, data = parts.next()
    if stored not in _NUMBERS:
        raise DataError("it is damaged: a variable has numbers of no known type")
    dtype, count = np.dtype(order + _NUMBERS[stored]), 1
    for side in shape:
        count *= side  # Python's integers do not overflow
    if count > MOST_NUMBERS:
        raise DataError(f"a variable has more than {MOST_NUMBERS:,} numbers, too many for kernels")
    if len(data) != count * dtype.itemsize:
        raise DataError(f"it is damaged: a variable of size {shape} holds {len(data)} bytes")
    # MATLAB stores whole numbers of any class as small integers.
    return np.frombuffer(data, dtype).reshape(shape, order="F").astype(_CLASSES[kind], copy=False)


def _members(parts: _Elements, order: str) -> list[np.ndarray]:
    members: list[np.ndarray] = []
    numbers = 0
    while parts.more():
        kind, content = parts.next()
        if kind != _MATRIX or len(members) == MOST_MEMBERS:
            raise DataError(f"a cell array holds something else than arrays, or more than {MOST_MEMBERS:,}")
        if not content:
            raise DataError("a cell array has an empty cell")
        members.append(typing.cast(np.ndarray, _matrix(content, order, cells=False)))  # no cell inside a cell
        numbers += members[-1].size
        if numbers > MOST_NUMBERS:
            raise DataError(f"a cell array has more than {MOST_NUMBERS:,} numbers, too many for kernels")
    return members
