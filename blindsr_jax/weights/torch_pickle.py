"""The pickle of a PyTorch checkpoint, read by Python's unpickler without running anything that the file asks for.

Unpickling can call any function. Here every global that a pickle names becomes an object of this file that describes a
tensor, or the file is refused. The tensors' numbers lie elsewhere in the file, and `torch_reader` reads them.

This is the unpickler that Python has in Python. The one in C reserves memory for sizes and memo numbers before it looks
whether the bytes are there, and it has no place to refuse an opcode or a key that takes for ever to hash.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from blindsr_jax.errors import WeightsError

# The pickle of a checkpoint names the tensors (some 150 bytes each) and holds no numbers of theirs.
MAX_PICKLE_BYTES = 4 << 20

# What a message advises, after what it says is wrong.
DAMAGED = "the file looks damaged, download or save it again"
SAVE_AGAIN = "save only the state dict of the model, torch.save(model.state_dict(), path)"

# The opcodes of protocol 2, which torch writes, and of the later ones that can be asked of it.
_OPCODES = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINBYTES SHORT_BINBYTES EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 "
    "TUPLE3 BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BINPERSID BUILD"
)


class _Inert:
    """An object that a pickle may pass around and not change."""

    def __setstate__(self, state: Any) -> None:
        raise WeightsError(f"the pickle changes an object, and was not loaded; {SAVE_AGAIN}")


@dataclass(frozen=True, eq=False)
class StorageKind(_Inert):
    """The class of a storage, by its name."""

    name: str


@dataclass(frozen=True, eq=False)
class Storage(_Inert):
    """`count` elements from `first` on, of the storage `key` that has `total` elements in the file."""

    kind: str
    key: str
    total: int
    first: int
    count: int


@dataclass(frozen=True, eq=False)
class Tensor(_Inert):
    """A view of a storage whose bounds were checked; `start` counts from the beginning of the whole storage."""

    storage: Storage
    start: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Function(_Inert):
    """A function of this file, in place of one that a checkpoint may call."""

    run: Callable[[tuple], Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.run(arguments)


class _StateDict(collections.OrderedDict):
    """What `Module.state_dict()` gives. Its state, the versions of the layers, is not needed."""

    def __setstate__(self, state: Any) -> None:
        known = isinstance(state, dict) and state.keys() == {"_metadata"}
        check(known, "the pickle changes an object, and was not loaded", SAVE_AGAIN)


class PickleReader:
    """Reads the pickles in `data` one after the other; `storages` collects the storages that they mention.

    `kinds` has the storage classes that the caller can read, as "module name"; a pickle that names another is refused.
    """

    def __init__(self, data: bytes, kinds: Collection[str]):
        self.data = data
        self.kinds = kinds
        self.storages: dict[str, Storage] = {}
        self._file = io.BytesIO(data)

    @property
    def at(self) -> int:
        """Where the next pickle begins."""
        return self._file.tell()

    def load(self) -> Any:
        """Read the next pickle and return its value, which is made of plain data, StorageKind, Storage and Tensor."""
        unpickler = _Unpickler(self._file, self)
        try:
            value = unpickler.load()
        except WeightsError:
            raise
        except EOFError:
            check(len(self.data) < MAX_PICKLE_BYTES, "the pickle is far larger than that of a model", SAVE_AGAIN)
            raise WeightsError(f"the pickle stops in the middle; {DAMAGED}") from None
        except Exception as error:  # the unpickler raises many kinds
            problem = f"the pickle is not that of a state dict ({type(error).__name__}, {show(str(error))})"
            raise WeightsError(f"{problem}; {DAMAGED}") from None
        check(not unpickler.stack and not unpickler.metastack, "the pickle leaves values over")
        return value


class _Unpickler(pickle._Unpickler):
    """Python's, with the opcodes that are needed; what reaches outside of the pickle is replaced."""

    def __init__(self, file: io.BytesIO, reader: PickleReader):
        super().__init__(file)
        self._reader = reader
        self._functions = {
            "collections OrderedDict": _Function(_ordered_dict),
            "torch._utils _rebuild_tensor_v2": _Function(_tensor),
            "torch._utils _rebuild_parameter": _Function(_parameter),
        }

    def find_class(self, module: str, name: str) -> _Inert:
        full = f"{module} {name}"
        if full in self._reader.kinds:
            return StorageKind(full)
        if full not in self._functions:
            raise WeightsError(f"asks for {show(full)}, which is not tensors, and was not loaded; {SAVE_AGAIN}")
        return self._functions[full]

    def persistent_load(self, identity: Any) -> Storage:
        storage = _storage(identity)
        known = self._reader.storages.setdefault(storage.key, storage)
        check((known.kind, known.total) == (storage.kind, storage.total), "a storage has two types or sizes")
        return storage

    def _set_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def _set_items(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()

    dispatch: ClassVar = collections.defaultdict(
        lambda: _refuse_opcode,
        {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES.split()},
    ) | {pickle.SETITEM[0]: _set_item, pickle.SETITEMS[0]: _set_items}


def _refuse_opcode(unpickler: _Unpickler) -> None:
    raise WeightsError(f"the pickle uses an opcode that no state dict needs; {SAVE_AGAIN}")


def _check_keys(keys: list) -> None:
    """Keys of other types, and huge integers, could be made to collide or take for ever to hash."""
    plain = all(key.isprintable() if type(key) is str else type(key) is int and abs(key) < 2**63 for key in keys)
    check(plain, "the pickle has a dict with odd keys", SAVE_AGAIN)


def _ordered_dict(arguments: tuple) -> _StateDict:
    check(not arguments, "the pickle calls what no state dict needs, and was not loaded", SAVE_AGAIN)
    return _StateDict()


def _parameter(arguments: tuple) -> Tensor:
    match arguments:
        case (Tensor() as tensor, _, _):
            return tensor
    raise WeightsError(f"the pickle calls what no state dict needs, and was not loaded; {SAVE_AGAIN}")


def _storage(identity: Any) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, elements), and a view in the older format."""
    match identity:
        case ("storage", StorageKind(name=kind), str(key), str(), int(total), *view) if total >= 0:
            match view:
                case [] | [None]:
                    return Storage(kind, key, total, 0, total)
                case [(str(), int(first), int(count))] if first >= 0 and 0 <= count <= total - first:
                    return Storage(kind, key, total, first, count)
    raise WeightsError(f"the pickle describes a storage that cannot be; {DAMAGED}")


def _tensor(arguments: tuple) -> Tensor:
    """The tensor of (storage, offset, size, stride, requires_grad, hooks[, metadata]), if it lies in the storage."""
    match arguments:
        case (Storage() as storage, start, tuple(size), tuple(stride), _, _, *metadata) if not any(metadata):
            # A bool is an int to isinstance. Numpy before version 2 has at most 32 dimensions.
            numbers = (start, *size, *stride)
            if len(size) == len(stride) <= 32 and all(type(n) is int and n >= 0 for n in numbers):
                end = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
                if (start if 0 in size else end) <= storage.count:
                    return Tensor(storage, storage.first + start, size, stride)
    raise WeightsError(f"the pickle describes a tensor that does not lie inside its storage; {DAMAGED}")


def check(holds: Any, problem: str, advice: str = DAMAGED) -> None:
    """Raise a WeightsError that says the problem and what to do about it, unless the condition holds."""
    if not holds:
        raise WeightsError(f"{problem}; {advice}")


def show(value: Any) -> str:
    """A short name for a value from the file: a string itself, of others the type, as their content can be endless."""
    return ascii(value[:80]) if type(value) is str else type(value).__name__
