"""Reader for the tensors of a PyTorch checkpoint. It needs no PyTorch and runs none of the code the file asks for.

A checkpoint contains a pickle and the storages of its tensors, in one of two file formats. `torch_pickle` reads the
pickle, which gives descriptions of the tensors. This module then reads the storages that the state dict needs.

The sizes in the file are not trusted. Each is checked against the real size of the file before memory is allocated.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from blindsr_jax.errors import WeightsError
from blindsr_jax.weights.torch_pickle import (
    DAMAGED,
    MAX_PICKLE_BYTES,
    SAVE_AGAIN,
    PickleReader,
    Storage,
    Tensor,
    check,
    show,
)

# A small file can describe large tensors: repeated values, f16 read as f32, one storage under many names. The result
# may have `_ALWAYS_ALLOWED_BYTES`, or `_MAX_GROWTH` times the size of the file if that is more.
_ALWAYS_ALLOWED_BYTES = 64 << 20
_MAX_GROWTH = 8

# torch's storage class -> (type of the stored elements, type of the returned array).
# A bfloat16 is the upper half of a float32. It is read as an integer and shifted.
_ELEMENTS = {
    "torch HalfStorage": ("f2", "f4"),
    "torch BFloat16Storage": ("u2", "f4"),
    "torch FloatStorage": ("f4", "f4"),
    "torch DoubleStorage": ("f8", "f4"),
    "torch LongStorage": ("i8", "i8"),
    "torch IntStorage": ("i4", "i4"),
    "torch ByteStorage": ("u1", "u1"),
    "torch BoolStorage": ("u1", "?"),
}

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

# Reads the bytes of a storage from the file.
_Fetch = Callable[[Storage], bytes]
# Finds the tensors by name in a file's value.
_StateOf = Callable[[Any], dict[str, Tensor]]


def read_torch_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the state dict of a `.pth` file in the zip format (torch 1.6 and later) or the older one.

    The state dict is the file's first entry among `params_ema`, `params` and `state_dict` that is a dict, or the top
    level if there is none. Other entries are ignored. The prefix `module.` is removed if every name has it.

    Args:
        path: The checkpoint. It need not be trusted: nothing in it is executed.

    Returns:
        The arrays by name, in the order of the file and in torch's layout (a convolution is out, in, height, width).
        Floating-point tensors of any precision become float32 (a value beyond its range becomes infinite); int64,
        int32, uint8 and bool stay as they are. The arrays are writable and share no memory.

    Raises:
        WeightsError: If the file cannot be read, is damaged, or holds anything but tensors and plain data.
    """
    return _read(path, _state_dict)


def read_torch_tensor(path: str | os.PathLike) -> np.ndarray:
    """Read a `.pth` file that holds a single tensor and no state dict.

    Args:
        path: As for `read_torch_checkpoint`.

    Returns:
        The array.

    Raises:
        WeightsError: If the file cannot be read, is damaged, or holds anything else.
    """
    return _read(path, _only_tensor)[""]


def _read(path: str | os.PathLike, state_of: _StateOf) -> dict[str, np.ndarray]:
    try:
        shown = _one_line(os.fsdecode(path))
    except TypeError:
        raise WeightsError(f"a checkpoint path must be a string or a path, not {type(path).__name__}") from None
    try:
        # Checked before opening, because opening a pipe would wait for its writer.
        check(stat.S_ISREG(os.stat(path).st_mode), "not a regular file", "give the path of a .pth file")
        with open(path, "rb") as file:
            return _read_file(file, state_of)
    except WeightsError as error:
        raise WeightsError(f"{shown}: {error}") from None
    except OSError as error:
        reason = error.strerror or _one_line(str(error))
        raise WeightsError(f"{shown}: cannot be read ({reason}); check the path and its permissions") from error
    except Exception as error:
        # Callers print only a WeightsError. A hostile file can make zipfile or numpy raise almost anything, even
        # MemoryError, and the cause is always the file.
        reason = f"{type(error).__name__}: {_one_line(str(error))}"
        raise WeightsError(f"{shown}: cannot be read as a checkpoint ({reason}); {DAMAGED}") from error


def _read_file(file: BinaryIO, state_of: _StateOf) -> dict[str, np.ndarray]:
    """Read the file in the format that its first bytes indicate, as torch does."""
    file_size = os.fstat(file.fileno()).st_size
    start = file.read(4)
    file.seek(0)
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            top, fetch, order = _open_zip(archive, file_size)
            return _arrays(state_of(top), file_size, fetch, order)
    top, fetch = _open_legacy(file, file_size)
    # The older format is little-endian on every machine.
    return _arrays(state_of(top), file_size, fetch, "<")


def _open_zip(archive: zipfile.ZipFile, file_size: int) -> tuple[Any, _Fetch, str]:
    """Read the pickle of a zip checkpoint. Returns its value, a function that reads a storage, and the byte order."""
    entries = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    sound = len(pickles) == 1 and len(entries) == len(archive.infolist())
    check(sound, "not the zip file of a PyTorch checkpoint (one data.pkl, no name twice)", "give a .pth file")
    root = pickles[0].removesuffix("data.pkl")

    def read(name: str, limit: int) -> bytes:
        check(root + name in entries, f"the entry {show(name)} is missing")
        info = entries[root + name]
        # torch never compresses. Refusing compression ensures that no entry is larger than the file.
        plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        check(plain and not info.flag_bits & 1, f"the entry {show(name)} is compressed or encrypted", SAVE_AGAIN)
        fits = info.file_size <= min(limit, file_size)
        check(fits, f"the entry {show(name)} has {info.file_size} bytes, more than it can need")
        return archive.read(info)

    def fetch(storage: Storage) -> bytes:
        return read(f"data/{storage.key}", _file_bytes(storage))

    byteorder = read("byteorder", 16) if root + "byteorder" in entries else b"little"
    check(byteorder in (b"little", b"big"), "the byte order is neither little nor big")
    top = PickleReader(read("data.pkl", MAX_PICKLE_BYTES), _ELEMENTS).load()
    return top, fetch, "<" if byteorder == b"little" else ">"


def _open_legacy(file: BinaryIO, file_size: int) -> tuple[Any, _Fetch]:
    """Run the pickles of an older checkpoint; returns the object in it and what reads a storage."""
    reader = PickleReader(file.read(MAX_PICKLE_BYTES), _ELEMENTS)
    known = _LEGACY_MAGIC.to_bytes(10, "little") in reader.data[:32] and reader.load() == _LEGACY_MAGIC
    check(known, "not a PyTorch checkpoint (neither of its two formats)", "give a .pth file")
    check(reader.load() == _LEGACY_PROTOCOL, "an unknown version of the older PyTorch format", SAVE_AGAIN)
    reader.load()  # The sizes of C types on the machine that wrote the file; the format does not depend on them.
    top = reader.load()
    keys = reader.load()

    # The storages follow the pickles in the order of the keys. Each is an int64 element count and the elements.
    known = type(keys) is list and all(type(key) is str and key in reader.storages for key in keys)
    check(known, "the list of storages does not fit the tensors")
    starts, at = {}, reader.at
    for key in keys:
        starts[key] = at
        at += 8 + _file_bytes(reader.storages[key])
    check(at <= file_size, f"has {file_size} bytes where its tensors need {at}")

    def fetch(storage: Storage) -> bytes:
        check(storage.key in starts, f"the storage {show(storage.key)} is missing")
        file.seek(starts[storage.key])
        total = int.from_bytes(file.read(8), "little", signed=True)
        check(total == storage.total, f"the storage {show(storage.key)} has another size than its tensors say")
        return file.read(_file_bytes(storage))

    return top, fetch


def _state_dict(top: Any) -> dict[str, Tensor]:
    """Find the state dict in the checkpoint's value and check that it contains only tensors."""
    check(isinstance(top, dict), f"holds a {show(top)} where a state dict is expected", SAVE_AGAIN)
    nested = (top.get(name) for name in ("params_ema", "params", "state_dict"))
    state = next((entry for entry in nested if isinstance(entry, dict)), top)
    check(state, "the state dict is empty", SAVE_AGAIN)
    for name, value in state.items():
        if type(name) is not str or type(value) is not Tensor:
            raise WeightsError(f"the entry {show(name)} is a {show(value)}, not a tensor; {SAVE_AGAIN}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def _only_tensor(top: Any) -> dict[str, Tensor]:
    """Name the one tensor of a file by the empty name."""
    check(type(top) is Tensor, f"holds a {show(top)} where a tensor is expected", SAVE_AGAIN)
    return {"": top}


def _arrays(state: dict[str, Tensor], file_size: int, fetch: _Fetch, order: str) -> dict[str, np.ndarray]:
    """Read the storages that the tensors of a state dict need, and extract the tensors."""
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    needed = sum(_file_bytes(storage) for storage in storages.values())
    check(needed <= file_size, f"has {file_size} bytes where its tensors need {needed}")
    result = sum(_result_bytes(tensor) for tensor in state.values())
    most = max(_ALWAYS_ALLOWED_BYTES, _MAX_GROWTH * file_size)
    check(result <= most, f"{file_size} bytes would become {result} bytes of tensors", SAVE_AGAIN)

    elements = {key: _elements(storage, fetch(storage), order) for key, storage in storages.items()}
    arrays = {}
    for name, tensor in state.items():
        flat = elements[tensor.storage.key][tensor.start :]
        # A dimension of one element may have any stride, even one too large for numpy.
        strides = [step * flat.itemsize if n > 1 else 0 for n, step in zip(tensor.size, tensor.stride, strict=True)]
        # torch_pickle checked that the view stays inside the storage, except for tensors without elements.
        view = np.lib.stride_tricks.as_strided(flat, tensor.size, strides) if 0 not in tensor.size else flat[:0]
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.array(view, dtype=_ELEMENTS[tensor.storage.kind][1], order="C")
        arrays[name] = array.reshape(tensor.size)
    return arrays


def _elements(storage: Storage, raw: bytes, order: str) -> np.ndarray:
    """The bytes of a storage as a flat array in this machine's byte order."""
    check(len(raw) == _file_bytes(storage), f"the storage {show(storage.key)} has {len(raw)} bytes, too few")
    stored = _ELEMENTS[storage.kind][0]
    flat = np.frombuffer(raw, dtype=order + stored).astype(stored, copy=False)
    if storage.kind == "torch BFloat16Storage":
        return (flat.astype("u4") << 16).view("f4")
    return flat


def _file_bytes(storage: Storage) -> int:
    return storage.total * np.dtype(_ELEMENTS[storage.kind][0]).itemsize


def _result_bytes(tensor: Tensor) -> int:
    # A tensor without elements can still have a dimension too large for numpy.
    return math.prod(max(n, 1) for n in tensor.size) * np.dtype(_ELEMENTS[tensor.storage.kind][1]).itemsize


def _one_line(text: str) -> str:
    return (text if text.isprintable() else ascii(text))[:500]
