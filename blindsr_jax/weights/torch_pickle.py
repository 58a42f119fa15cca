"""Reader for the pickle of a PyTorch checkpoint that runs none of the code the file asks for.

Unpickling can call any function. Here every global that a pickle names is mapped to an object of this module that
describes a tensor, or the file is refused. The tensors' numbers are elsewhere in the file; `torch_reader` reads them.

The base class is the standard library's unpickler written in Python. The one in C allocates memory for declared sizes
and memo numbers before it checks that the bytes are there, and it offers no way to refuse an opcode or a key that takes
too long to hash.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from blindsr_jax.errors import WeightsError

# The pickle of a checkpoint describes the tensors in about 150 bytes each and does not contain their numbers.
MAX_PICKLE_BYTES = 4 << 20

_MOST_KEY = 2**24  # of smaller integers at most 128 collide in a dict of 2**17 places

# The advice at the end of a message.
DAMAGED = "the file looks damaged, download or save it again"
SAVE_AGAIN = "save only the state dict of the model, torch.save(model.state_dict(), path)"

# The opcodes of protocol 2, torch's default, and of the later protocols that torch.save accepts.
_OPCODES = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINBYTES SHORT_BINBYTES EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 "
    "TUPLE3 BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BINPERSID BUILD"
)


class _Inert:
    """An object that a pickle may refer to but not change."""

    def __setstate__(self, state: Any) -> None:
        raise WeightsError(f"the pickle changes an object, and was not loaded; {SAVE_AGAIN}")


@dataclass(frozen=True, eq=False)
class StorageKind(_Inert):
    """The name of a storage class."""

    name: str


@dataclass(frozen=True, eq=False)
class Storage(_Inert):
    """Elements [first, first + count) of the storage `key`, which has `total` elements in the file."""

    kind: str
    key: str
    total: int
    first: int
    count: int


@dataclass(frozen=True, eq=False)
class Tensor(_Inert):
    """A view of a storage with checked bounds. `start` counts elements from the beginning of the whole storage."""

    storage: Storage
    start: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Function(_Inert):
    """A function of this module that replaces one of those that a checkpoint may call."""

    run: Callable[[tuple], Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.run(arguments)


class _StateDict(collections.OrderedDict):
    """The result of `Module.state_dict()`. Its pickled state, the layers' versions, is ignored."""

    def __setstate__(self, state: Any) -> None:
        known = isinstance(state, dict) and state.keys() == {"_metadata"}
        check(known, "the pickle changes an object, and was not loaded", SAVE_AGAIN)


class PickleReader:
    """Read the pickles in `data` one after the other.

    Args:
        data: The pickles.
        kinds: The storage classes that the caller can read, as "module name". A pickle that names another is refused.

    Attributes:
        storages: The storages that the pickles have mentioned so far, by key.
    """

    def __init__(self, data: bytes, kinds: Collection[str]):
        self.data = data
        self.kinds = kinds
        self.storages: dict[str, Storage] = {}
        self._file = io.BytesIO(data)

    @property
    def at(self) -> int:
        """The position at which the next pickle begins."""
        return self._file.tell()

    def load(self) -> Any:
        """Read the next pickle and return its value, which consists of plain data, StorageKind, Storage and Tensor.

        Raises:
            WeightsError: If the pickle is damaged, or needs anything that a state dict does not.
        """
        unpickler = _Unpickler(self._file, self)
        try:
            value = unpickler.load()
        except WeightsError:
            raise
        except EOFError:
            check(len(self.data) < MAX_PICKLE_BYTES, "the pickle is far larger than that of a model", SAVE_AGAIN)
            raise WeightsError(f"the pickle stops in the middle; {DAMAGED}") from None
        except Exception as error:  # the unpickler raises many types of errors
            problem = f"the pickle is not that of a state dict ({type(error).__name__}, {show(str(error))})"
            raise WeightsError(f"{problem}; {DAMAGED}") from None
        check(not unpickler.stack and not unpickler.metastack, "the pickle leaves values over")
        return value


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, restricted to the opcodes that state dicts need. Globals and storages are replaced."""

    stack: list[Any]  # typeshed leaves these two attributes out
    metastack: list[list[Any]]

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
        self.load_setitem()  # type: ignore[attr-defined]  # typeshed leaves the methods of opcodes out

    def _set_items(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()  # type: ignore[attr-defined]

    dispatch: ClassVar = collections.defaultdict(
        lambda: _refuse_opcode,
        {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES.split()},
    ) | {pickle.SETITEM[0]: _set_item, pickle.SETITEMS[0]: _set_items}


def _refuse_opcode(unpickler: _Unpickler) -> None:
    raise WeightsError(f"the pickle uses an opcode that no state dict needs; {SAVE_AGAIN}")


def _check_keys(keys: list) -> None:
    """Refuse keys of other types, and integers that could be made to collide: those of optimisers count parameters."""
    plain = all(key.isprintable() if type(key) is str else type(key) is int and 0 <= key < _MOST_KEY for key in keys)
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
    """The storage of a persistent id: ("storage", type, key, device, elements), plus a view in the older format."""
    match identity:
        case ("storage", StorageKind(name=kind), str(key), str(), int(total), *view) if total >= 0:
            match view:
                case [] | [None]:
                    return Storage(kind, key, total, 0, total)
                case [(str(), int(first), int(count))] if first >= 0 and 0 <= count <= total - first:
                    return Storage(kind, key, total, first, count)
    raise WeightsError(f"the pickle describes a storage that cannot be; {DAMAGED}")


def _tensor(arguments: tuple) -> Tensor:
    """The tensor of (storage, offset, size, stride, requires_grad, hooks[, metadata]). It must lie in the storage."""
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
    """Raise a WeightsError with the problem and the advice unless the condition holds."""
    if not holds:
        raise WeightsError(f"{problem}; {advice}")


def show(value: Any) -> str:
    """A short text for a value from the file: the start of a string, or the type's name, since content can be huge."""
    return ascii(value[:80]) if type(value) is str else type(value).__name__
