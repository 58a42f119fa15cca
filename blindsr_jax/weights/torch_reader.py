"""Read the tensors of a PyTorch checkpoint without PyTorch and without running anything that the file asks for.

A checkpoint is a pickle, and unpickling can call any function. So the pickle is not given to `pickle`: the small
machine below knows only the opcodes that checkpoints use, and no value on its stack can be called. A global is kept
as its name, and the three functions that a checkpoint may ask for are carried out here, on plain data. They describe
the tensors; only after the whole pickle was accepted are the storages of the chosen tensors read.

Every size in the file is a claim of whoever wrote it. Each is held against the real size of the file before memory
is taken for it.
"""

import math
import os
import stat
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from blindsr_jax.errors import WeightsError

# The pickle of a checkpoint names the tensors (some 150 bytes each) and holds no numbers of theirs.
_MAX_PICKLE_BYTES = 4 << 20
_MAX_NESTING = 32
# A small file can describe large tensors (repeated values, f16 to f32, one storage under many names): up to here.
_ALWAYS_ALLOWED_BYTES = 64 << 20
_MAX_GROWTH = 8

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_DAMAGED = "the file looks damaged, download or save it again"
_SAVE_AGAIN = "save only the state dict of the model, torch.save(model.state_dict(), path)"

# Storage class of torch -> (type of the stored elements, type of the array that is returned).
# A bfloat16 is the upper half of a float32, so it is read as an integer and shifted.
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
_ALLOWED_GLOBALS = {
    *_ELEMENTS,
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}

_NOTHING = object()  # What an opcode returns that pushes no value.


@dataclass(frozen=True, slots=True)
class _Global:
    """The name of an allowed global, in place of the global itself."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """`count` elements from `first` on, of the storage `key` that has `total` elements in the file."""

    kind: str
    key: str
    total: int
    first: int
    count: int

    def file_bytes(self) -> int:
        return self.total * np.dtype(_ELEMENTS[self.kind][0]).itemsize


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage whose bounds were checked; `start` counts from the beginning of the whole storage."""

    storage: _Storage
    start: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def result_bytes(self) -> int:
        # A tensor without elements can still have a dimension that numpy cannot hold.
        return math.prod(max(n, 1) for n in self.size) * np.dtype(_ELEMENTS[self.storage.kind][1]).itemsize


# Reads the bytes of a storage from the file.
_Fetch = Callable[[_Storage], bytes]


def read_torch_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the state dict of a `.pth` file in the zip format (torch 1.6 and later) or the older one.

    The state dict is the top of the file or its entry `params_ema`, `params` or `state_dict`, the first of them that
    is there; other entries beside it are ignored. A `module.` that every name begins with is removed.

    Args:
        path: The checkpoint. It need not be trusted: nothing in it is executed.

    Returns:
        The arrays by name, in the order of the file and in torch's layout (a convolution is out, in, height, width).
        Floating-point tensors of any precision become float32 (a value beyond its range becomes infinite); int64,
        int32, uint8 and bool stay as they are. The arrays are writable and share no memory.

    Raises:
        WeightsError: If the file cannot be read, is damaged, or holds anything but tensors and plain data.
    """
    try:
        shown = _one_line(os.fsdecode(path))
    except TypeError:
        raise WeightsError(f"a checkpoint path must be a string or a path, not {type(path).__name__}") from None
    try:
        # Asked before opening: opening a pipe would wait for its writer.
        _check(stat.S_ISREG(os.stat(path).st_mode), "not a regular file", "give the path of a .pth file")
        with open(path, "rb") as file:
            return _read_file(file)
    except WeightsError as error:
        raise WeightsError(f"{shown}: {error}") from None
    except OSError as error:
        reason = error.strerror or _one_line(str(error))
        raise WeightsError(f"{shown}: cannot be read ({reason}); check the path and its permissions") from error
    except Exception as error:
        # The callers print a WeightsError and nothing else. A hostile file can make zipfile or numpy raise almost
        # anything (also MemoryError), and whatever it is, the file is to blame.
        reason = f"{type(error).__name__}: {_one_line(str(error))}"
        raise WeightsError(f"{shown}: cannot be read as a checkpoint ({reason}); {_DAMAGED}") from error


def _read_file(file: BinaryIO) -> dict[str, np.ndarray]:
    """Choose the format by the first bytes, as torch does, and read the file."""
    file_size = os.fstat(file.fileno()).st_size
    start = file.read(4)
    file.seek(0)
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            top, fetch, order = _open_zip(archive, file_size)
            return _arrays(_state_dict(top), file_size, fetch, order)
    top, fetch = _open_legacy(file, file_size)
    # The older format is little-endian on every machine.
    return _arrays(_state_dict(top), file_size, fetch, "<")


def _open_zip(archive: zipfile.ZipFile, file_size: int) -> tuple[Any, _Fetch, str]:
    """Run the pickle of a zip checkpoint; returns its value, what reads a storage, and the byte order."""
    entries = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    sound = len(pickles) == 1 and len(entries) == len(archive.infolist())
    _check(sound, "not the zip file of a PyTorch checkpoint (one data.pkl, no name twice)", "give a .pth file")
    root = pickles[0].removesuffix("data.pkl")

    def read(name: str, limit: int) -> bytes:
        _check(root + name in entries, f"the entry {_show(name)} is missing")
        info = entries[root + name]
        # Torch never compresses. With that refused, no entry can be larger than the file it is in.
        plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        _check(plain and not info.flag_bits & 1, f"the entry {_show(name)} is compressed or encrypted", _SAVE_AGAIN)
        fits = info.file_size <= min(limit, file_size)
        _check(fits, f"the entry {_show(name)} has {info.file_size} bytes, more than it can need")
        return archive.read(info)

    def fetch(storage: _Storage) -> bytes:
        return read(f"data/{storage.key}", storage.file_bytes())

    byteorder = read("byteorder", 16) if root + "byteorder" in entries else b"little"
    _check(byteorder in (b"little", b"big"), "the byte order is neither little nor big")
    top = _Unpickler(read("data.pkl", _MAX_PICKLE_BYTES)).load()
    return top, fetch, "<" if byteorder == b"little" else ">"


def _open_legacy(file: BinaryIO, file_size: int) -> tuple[Any, _Fetch]:
    """Run the pickles of an older checkpoint; returns the object in it and what reads a storage."""
    unpickler = _Unpickler(file.read(_MAX_PICKLE_BYTES))
    known = _LEGACY_MAGIC.to_bytes(10, "little") in unpickler.data[:32] and unpickler.load() == _LEGACY_MAGIC
    _check(known, "not a PyTorch checkpoint (neither of its two formats)", "give a .pth file")
    _check(unpickler.load() == _LEGACY_PROTOCOL, "an unknown version of the older PyTorch format", _SAVE_AGAIN)
    unpickler.load()  # The sizes of C types on the machine that wrote the file; they do not matter to what it wrote.
    top = unpickler.load()
    keys = unpickler.load()

    # After the pickles lie the storages, in the order of the keys: an int64 with the number of elements, the elements.
    known = type(keys) is list and all(type(key) is str and key in unpickler.storages for key in keys)
    _check(known, "the list of storages does not fit the tensors")
    starts, at = {}, unpickler.at
    for key in keys:
        starts[key] = at
        at += 8 + unpickler.storages[key].file_bytes()
    _check(at <= file_size, f"has {file_size} bytes where its tensors need {at}")

    def fetch(storage: _Storage) -> bytes:
        _check(storage.key in starts, f"the storage {_show(storage.key)} is missing")
        file.seek(starts[storage.key])
        total = int.from_bytes(file.read(8), "little", signed=True)
        _check(total == storage.total, f"the storage {_show(storage.key)} has another size than its tensors say")
        return file.read(storage.file_bytes())

    return top, fetch


def _state_dict(top: Any) -> dict[str, _Tensor]:
    """Find the state dict in what the checkpoint holds, and check that it is one."""
    _check(isinstance(top, dict), f"holds a {_show(top)} where a state dict is expected", _SAVE_AGAIN)
    nested = (top.get(name) for name in ("params_ema", "params", "state_dict"))
    state = next((entry for entry in nested if isinstance(entry, dict)), top)
    _check(state, "the state dict is empty", _SAVE_AGAIN)
    for name, value in state.items():
        if type(name) is not str or type(value) is not _Tensor:
            raise WeightsError(f"the entry {_show(name)} is a {_show(value)}, not a tensor; {_SAVE_AGAIN}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def _arrays(state: dict[str, _Tensor], file_size: int, fetch: _Fetch, order: str) -> dict[str, np.ndarray]:
    """Read the storages that the tensors of a state dict need, and cut the tensors out of them."""
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    needed = sum(storage.file_bytes() for storage in storages.values())
    _check(needed <= file_size, f"has {file_size} bytes where its tensors need {needed}")
    result = sum(tensor.result_bytes() for tensor in state.values())
    most = max(_ALWAYS_ALLOWED_BYTES, _MAX_GROWTH * file_size)
    _check(result <= most, f"{file_size} bytes would become {result} bytes of tensors", _SAVE_AGAIN)

    elements = {key: _elements(storage, fetch(storage), order) for key, storage in storages.items()}
    arrays = {}
    for name, tensor in state.items():
        flat = elements[tensor.storage.key][tensor.start :]
        # A dimension of one element may have any stride, also one that numpy cannot hold.
        strides = [step * flat.itemsize if n > 1 else 0 for n, step in zip(tensor.size, tensor.stride, strict=True)]
        # _tensor() made sure that this stays inside the storage. With no element there is nothing to look at.
        view = np.lib.stride_tricks.as_strided(flat, tensor.size, strides) if 0 not in tensor.size else flat[:0]
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.array(view, dtype=_ELEMENTS[tensor.storage.kind][1], order="C")
        arrays[name] = array.reshape(tensor.size)
    return arrays


def _elements(storage: _Storage, raw: bytes, order: str) -> np.ndarray:
    """The bytes of a storage as a flat array of this machine's byte order."""
    _check(len(raw) == storage.file_bytes(), f"the storage {_show(storage.key)} has {len(raw)} bytes, too few")
    stored = _ELEMENTS[storage.kind][0]
    flat = np.frombuffer(raw, dtype=order + stored).astype(stored, copy=False)
    if storage.kind == "torch BFloat16Storage":
        return (flat.astype("u4") << 16).view("f4")
    return flat


class _Unpickler:
    """Runs the pickles in `data` one after the other; `storages` collects the storages that they mention."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0
        self.storages: dict[str, _Storage] = {}

    def load(self) -> Any:
        """Run the next pickle and return its value, which is made of plain data, _Global, _Storage and _Tensor."""
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        begin = self.at
        while (opcode := self.take(1)) != b".":
            run = _OPCODES.get(opcode)
            if run is None:
                raise WeightsError(f"the pickle uses the opcode {opcode!r}, which no state dict needs; {_SAVE_AGAIN}")
            value = run(self)
            if value is not _NOTHING:
                self.stack.append(value)
        [value] = self.pop(1)
        _check(not self.stack and not self.marks, "the pickle leaves values over")
        _refuse_tangles(value, self.at - begin)
        return value

    # Reading operands.

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            _check(len(self.data) < _MAX_PICKLE_BYTES, "the pickle is far larger than that of a model", _SAVE_AGAIN)
            _check(False, "the pickle stops in the middle")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def counted(self, form: str) -> bytes:
        return self.take(self.number(form))

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 256)
        _check(end >= 0, "the pickle has a name without an end")
        return self.take(end + 1 - self.at)[:-1].decode()

    # The stack. Values below the last mark are out of reach until it is popped.

    def pop(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        _check(start >= (self.marks[-1] if self.marks else 0), "the pickle uses a value that is not there")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_marked(self) -> list[Any]:
        _check(self.marks, "the pickle uses a mark that is not there")
        values = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    # What the opcodes do: each returns the value to push.

    def mark(self) -> Any:
        self.marks.append(len(self.stack))
        return _NOTHING

    def skip(self, count: int) -> Any:
        self.take(count)
        return _NOTHING

    def remember(self, index: int) -> Any:
        [self.memo[index]] = self.pop(1)
        return self.memo[index]

    def recall(self, index: int) -> Any:
        _check(index in self.memo, "the pickle recalls a value that it never had")
        return self.memo[index]

    def append(self, values: list) -> list:
        [target] = self.pop(1)
        _check(type(target) is list, "the pickle appends to what is not a list")
        target.extend(values)
        return target

    def set_items(self, values: list) -> dict:
        [target] = self.pop(1)
        _check(isinstance(target, dict) and len(values) % 2 == 0, "the pickle sets entries of what is not a dict")
        # Keys of other types could be made to collide, or take forever to hash.
        _check(all(type(key) in (str, int) for key in values[::2]), "the pickle has a dict with odd keys", _SAVE_AGAIN)
        target.update(zip(values[::2], values[1::2], strict=True))
        return target

    def find(self, module: Any, name: Any) -> _Global:
        full = f"{module} {name}" if type(module) is str and type(name) is str else ""
        if full not in _ALLOWED_GLOBALS:
            raise WeightsError(f"asks for {_show(full)}, which is not tensors, and was not loaded; {_SAVE_AGAIN}")
        return _Global(full)

    def call(self) -> Any:
        match self.pop(2):
            case [_Global(name="collections OrderedDict"), ()]:
                return OrderedDict()
            case [_Global(name="torch._utils _rebuild_tensor_v2"), tuple(arguments)]:
                return _tensor(arguments)
            case [_Global(name="torch._utils _rebuild_parameter"), (_Tensor() as tensor, _, _)]:
                return tensor
        raise WeightsError(f"the pickle calls what no state dict needs, and was not loaded; {_SAVE_AGAIN}")

    def persistent(self) -> _Storage:
        storage = _storage(*self.pop(1))
        known = self.storages.setdefault(storage.key, storage)
        _check((known.kind, known.total) == (storage.kind, storage.total), "a storage has two types or sizes")
        return storage

    def build(self) -> OrderedDict:
        """State for an object. A state dict has some, the versions of its layers, which are not needed."""
        target, state = self.pop(2)
        known = type(target) is OrderedDict and isinstance(state, dict) and state.keys() == {"_metadata"}
        _check(known, "the pickle changes an object, and was not loaded", _SAVE_AGAIN)
        return target


def _storage(identity: Any) -> _Storage:
    """The storage of a persistent id: ("storage", type, key, device, elements), and a view in the older format."""
    match identity:
        case ("storage", _Global(name=kind), str(key), str(), int(total), *view) if kind in _ELEMENTS and total >= 0:
            match view:
                case [] | [None]:
                    return _Storage(kind, key, total, 0, total)
                case [(str(), int(first), int(count))] if first >= 0 and 0 <= count <= total - first:
                    return _Storage(kind, key, total, first, count)
    raise WeightsError(f"the pickle describes a storage that cannot be; {_DAMAGED}")


def _tensor(arguments: tuple) -> _Tensor:
    """The tensor of (storage, offset, size, stride, requires_grad, hooks[, metadata]), if it lies in the storage."""
    match arguments:
        case (_Storage() as storage, start, tuple(size), tuple(stride), _, _, *metadata) if not any(metadata):
            # A bool is an int to isinstance. Numpy before version 2 has at most 32 dimensions.
            numbers = (start, *size, *stride)
            if len(size) == len(stride) <= 32 and all(type(n) is int and n >= 0 for n in numbers):
                end = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
                if (start if 0 in size else end) <= storage.count:
                    return _Tensor(storage, storage.first + start, size, stride)
    raise WeightsError(f"the pickle describes a tensor that does not lie inside its storage; {_DAMAGED}")


def _refuse_tangles(value: Any, most: int) -> None:
    """Refuse values that contain themselves, are nested deeply, or grow when written out to more than `most` values."""
    level, seen = [value], 0
    for _ in range(_MAX_NESTING):
        level = [entry for entry in level if isinstance(entry, dict | list | tuple)]
        if not level:
            return
        seen += sum(map(len, level))
        if seen > most:
            break
        level = [inner for entry in level for inner in (entry.values() if isinstance(entry, dict) else entry)]
    raise WeightsError(f"the pickle is nested too deeply or contains itself, and was not loaded; {_SAVE_AGAIN}")


def _check(holds: Any, problem: str, advice: str = _DAMAGED) -> None:
    if not holds:
        raise WeightsError(f"{problem}; {advice}")


def _one_line(text: str) -> str:
    return (text if text.isprintable() else ascii(text))[:500]


def _show(value: Any) -> str:
    """A short name for a value from the file: a string itself, of others the type, as their content can be endless."""
    return ascii(value[:80]) if type(value) is str else type(value).__name__.lstrip("_")


# The opcodes of protocol 2, which torch writes, and of the later ones that can be asked of it.
_OPCODES: dict[bytes, Callable[[_Unpickler], Any]] = {
    b"\x80": lambda pickle: pickle.skip(1),  # The protocol.
    b"\x95": lambda pickle: pickle.skip(8),  # The length of a frame, a hint for those who read a stream.
    b"(": _Unpickler.mark,
    b"N": lambda pickle: None,
    b"\x88": lambda pickle: True,
    b"\x89": lambda pickle: False,
    b"K": lambda pickle: pickle.number("<B"),
    b"M": lambda pickle: pickle.number("<H"),
    b"J": lambda pickle: pickle.number("<i"),
    b"G": lambda pickle: pickle.number(">d"),
    b"\x8a": lambda pickle: int.from_bytes(pickle.counted("<B"), "little", signed=True),
    b"X": lambda pickle: pickle.counted("<I").decode(),
    b"\x8c": lambda pickle: pickle.counted("<B").decode(),
    b"B": lambda pickle: pickle.counted("<I"),
    b"C": lambda pickle: pickle.counted("<B"),
    b"]": lambda pickle: [],
    b"}": lambda pickle: {},
    b")": lambda pickle: (),
    b"t": lambda pickle: tuple(pickle.pop_marked()),
    b"\x85": lambda pickle: tuple(pickle.pop(1)),
    b"\x86": lambda pickle: tuple(pickle.pop(2)),
    b"\x87": lambda pickle: tuple(pickle.pop(3)),
    b"a": lambda pickle: pickle.append(pickle.pop(1)),
    b"e": lambda pickle: pickle.append(pickle.pop_marked()),
    b"s": lambda pickle: pickle.set_items(pickle.pop(2)),
    b"u": lambda pickle: pickle.set_items(pickle.pop_marked()),
    b"q": lambda pickle: pickle.remember(pickle.number("<B")),
    b"r": lambda pickle: pickle.remember(pickle.number("<I")),
    b"\x94": lambda pickle: pickle.remember(len(pickle.memo)),
    b"h": lambda pickle: pickle.recall(pickle.number("<B")),
    b"j": lambda pickle: pickle.recall(pickle.number("<I")),
    b"c": lambda pickle: pickle.find(pickle.line(), pickle.line()),
    b"\x93": lambda pickle: pickle.find(*pickle.pop(2)),
    b"R": _Unpickler.call,
    b"Q": _Unpickler.persistent,
    b"b": _Unpickler.build,
}
