"""The pickle of a PyTorch checkpoint, run by a machine that cannot call anything.

Unpickling can call any function. So the pickle is not given to `pickle`: the small machine below knows only the
opcodes that checkpoints use, and no value on its stack can be called. A global is kept as its name, and the three
functions that a checkpoint may ask for are carried out here, on plain data. What comes out describes the tensors;
their numbers lie elsewhere in the file, and `torch_reader` reads them.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from blindsr_jax.errors import WeightsError

# The pickle of a checkpoint names the tensors (some 150 bytes each) and holds no numbers of theirs.
MAX_PICKLE_BYTES = 4 << 20
_MAX_NESTING = 32

# What a message advises, after what it says is wrong.
DAMAGED = "the file looks damaged, download or save it again"
SAVE_AGAIN = "save only the state dict of the model, torch.save(model.state_dict(), path)"

# The functions that are carried out here. Beside them, a checkpoint may only name the classes of its storages.
_FUNCTIONS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}

_NOTHING = object()  # What an opcode returns that pushes no value.


@dataclass(frozen=True, slots=True)
class Global:
    """The name of an allowed global, in place of the global itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """`count` elements from `first` on, of the storage `key` that has `total` elements in the file."""

    kind: str
    key: str
    total: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage whose bounds were checked; `start` counts from the beginning of the whole storage."""

    storage: Storage
    start: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Unpickler:
    """Runs the pickles in `data` one after the other; `storages` collects the storages that they mention.

    `kinds` has the storage classes that the caller can read, as "module name"; a pickle that names another is refused.
    `at` is where the next pickle begins.
    """

    def __init__(self, data: bytes, kinds: Collection[str]):
        self.data = data
        self.kinds = kinds
        self.at = 0
        self.storages: dict[str, Storage] = {}

    def load(self) -> Any:
        """Run the next pickle and return its value, which is made of plain data, Global, Storage and Tensor."""
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        begin = self.at
        while (opcode := self.take(1)) != b".":
            run = _OPCODES.get(opcode)
            if run is None:
                raise WeightsError(f"the pickle uses the opcode {opcode!r}, which no state dict needs; {SAVE_AGAIN}")
            value = run(self)
            if value is not _NOTHING:
                self.stack.append(value)
        [value] = self.pop(1)
        check(not self.stack and not self.marks, "the pickle leaves values over")
        _refuse_tangles(value, self.at - begin)
        return value

    # Reading operands.

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            check(len(self.data) < MAX_PICKLE_BYTES, "the pickle is far larger than that of a model", SAVE_AGAIN)
            check(False, "the pickle stops in the middle")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def counted(self, form: str) -> bytes:
        return self.take(self.number(form))

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 256)
        check(end >= 0, "the pickle has a name without an end")
        return self.take(end + 1 - self.at)[:-1].decode()

    # The stack. Values below the last mark are out of reach until it is popped.

    def pop(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        check(start >= (self.marks[-1] if self.marks else 0), "the pickle uses a value that is not there")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_marked(self) -> list[Any]:
        check(self.marks, "the pickle uses a mark that is not there")
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
        check(index in self.memo, "the pickle recalls a value that it never had")
        return self.memo[index]

    def append(self, values: list) -> list:
        [target] = self.pop(1)
        check(type(target) is list, "the pickle appends to what is not a list")
        target.extend(values)
        return target

    def set_items(self, values: list) -> dict:
        [target] = self.pop(1)
        check(isinstance(target, dict) and len(values) % 2 == 0, "the pickle sets entries of what is not a dict")
        # Keys of other types could be made to collide, or take forever to hash.
        check(all(type(key) in (str, int) for key in values[::2]), "the pickle has a dict with odd keys", SAVE_AGAIN)
        target.update(zip(values[::2], values[1::2], strict=True))
        return target

    def find(self, module: Any, name: Any) -> Global:
        full = f"{module} {name}" if type(module) is str and type(name) is str else ""
        if full not in _FUNCTIONS and full not in self.kinds:
            raise WeightsError(f"asks for {show(full)}, which is not tensors, and was not loaded; {SAVE_AGAIN}")
        return Global(full)

    def call(self) -> Any:
        match self.pop(2):
            case [Global(name="collections OrderedDict"), ()]:
                return OrderedDict()
            case [Global(name="torch._utils _rebuild_tensor_v2"), tuple(arguments)]:
                return _tensor(arguments)
            case [Global(name="torch._utils _rebuild_parameter"), (Tensor() as tensor, _, _)]:
                return tensor
        raise WeightsError(f"the pickle calls what no state dict needs, and was not loaded; {SAVE_AGAIN}")

    def persistent(self) -> Storage:
        storage = _storage(*self.pop(1), self.kinds)
        known = self.storages.setdefault(storage.key, storage)
        check((known.kind, known.total) == (storage.kind, storage.total), "a storage has two types or sizes")
        return storage

    def build(self) -> OrderedDict:
        """State for an object. A state dict has some, the versions of its layers, which are not needed."""
        target, state = self.pop(2)
        known = type(target) is OrderedDict and isinstance(state, dict) and state.keys() == {"_metadata"}
        check(known, "the pickle changes an object, and was not loaded", SAVE_AGAIN)
        return target


def _storage(identity: Any, kinds: Collection[str]) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, elements), and a view in the older format."""
    match identity:
        case ("storage", Global(name=kind), str(key), str(), int(total), *view) if kind in kinds and total >= 0:
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
    raise WeightsError(f"the pickle is nested too deeply or contains itself, and was not loaded; {SAVE_AGAIN}")


def check(holds: Any, problem: str, advice: str = DAMAGED) -> None:
    """Raise a WeightsError that says the problem and what to do about it, unless the condition holds."""
    if not holds:
        raise WeightsError(f"{problem}; {advice}")


def show(value: Any) -> str:
    """A short name for a value from the file: a string itself, of others the type, as their content can be endless."""
    return ascii(value[:80]) if type(value) is str else type(value).__name__


# The opcodes of protocol 2, which torch writes, and of the later ones that can be asked of it.
_OPCODES: dict[bytes, Callable[[Unpickler], Any]] = {
    b"\x80": lambda pickle: pickle.skip(1),  # The protocol.
    b"\x95": lambda pickle: pickle.skip(8),  # The length of a frame, a hint for those who read a stream.
    b"(": Unpickler.mark,
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
    b"R": Unpickler.call,
    b"Q": Unpickler.persistent,
    b"b": Unpickler.build,
}
