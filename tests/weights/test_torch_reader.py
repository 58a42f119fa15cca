"""The reader of PyTorch checkpoints gives the same values as torch and refuses hostile files.

Most files are assembled by hand, opcode by opcode, so these tests need no torch.
"""

import contextlib
import io
import os
import pickle
import random
import re
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

from blindsr_jax.errors import WeightsError
from blindsr_jax.weights.torch_reader import read_torch_checkpoint, read_torch_tensor

REPOSITORY = Path(__file__).resolve().parents[2]
NETWORKS = REPOSITORY.parent / "shared" / "reference" / "networks"
CHECKPOINTS = sorted(NETWORKS.glob("*.pth"))
LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
DTYPES = {
    "Half": np.dtype("f2"),
    "BFloat16": np.dtype(ml_dtypes.bfloat16),
    "Float": np.dtype("f4"),
    "Double": np.dtype("f8"),
    "Long": np.dtype("i8"),
    "Int": np.dtype("i4"),
    "Byte": np.dtype("u1"),
    "Bool": np.dtype("?"),
}


# Assembling checkpoints by hand.


class Raw(bytes):
    """Opcodes that are inserted into the pickle unchanged."""


class Tensor(NamedTuple):
    """The pickle's description of a tensor."""

    kind: str
    total: int
    size: tuple
    stride: tuple
    start: object = 0
    key: str = "0"
    view: object = None


def encode(value: object, legacy: bool = False) -> bytes:
    """The opcodes, up to protocol 4, that leave a value on the stack."""
    match value:
        case Raw():
            return bytes(value)
        case Tensor():
            identity = ("storage", glob("torch", value.kind + "Storage"), value.key, "cpu", value.total)
            identity += (value.view,) if legacy else ()
            arguments = (Raw(encode(identity) + b"Q"), value.start, value.size, value.stride, False, ordered())
            return call(glob("torch._utils", "_rebuild_tensor_v2"), arguments)
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            size = value.bit_length() // 8 + 1
            return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"C" + bytes([len(value)]) + value
        case tuple():
            return b"(" + b"".join(encode(item, legacy) for item in value) + b"t"
        case list():
            return b"](" + b"".join(encode(item, legacy) for item in value) + b"e"
        case dict():
            return b"}(" + b"".join(encode(k, legacy) + encode(v, legacy) for k, v in value.items()) + b"u"
    raise TypeError(value)


def glob(module: str, name: str) -> Raw:
    return Raw(f"c{module}\n{name}\n".encode())


def call(function: bytes, arguments: object) -> Raw:
    return Raw(function + encode(arguments) + b"R")


def ordered() -> Raw:
    return call(glob("collections", "OrderedDict"), ())


def contiguous(kind: str, size: tuple, start: int = 0, key: str = "0", total: int | None = None) -> Tensor:
    stride = tuple(int(np.prod(size[axis + 1 :])) for axis in range(len(size)))
    return Tensor(kind, int(np.prod(size)) if total is None else total, size, stride, start, key)


def zip_bytes(body: bytes, storages: dict[str, bytes], byteorder: bytes | None = b"little", root: str = "net") -> bytes:
    """A zip checkpoint with this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/data.pkl", body)
        if byteorder is not None:
            archive.writestr(f"{root}/byteorder", byteorder)
        for key, raw in storages.items():
            archive.writestr(f"{root}/data/{key}", raw)
        archive.writestr(f"{root}/version", b"3\n")
    return buffer.getvalue()


def legacy_bytes(body: bytes, storages: dict[str, bytes], counts: dict[str, int], keys: object = None) -> bytes:
    """A checkpoint of the older format with this pickle."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = LEGACY_MAGIC + b"".join(b"\x80\x02" + encode(part) + b"." for part in (1001, info))
    head += body + b"\x80\x02" + encode(list(storages) if keys is None else keys) + b"."
    return head + b"".join(struct.pack("<q", counts[key]) + raw for key, raw in storages.items())


def checkpoint(form: str, top: object, elements: dict[str, np.ndarray]) -> bytes:
    """A sound checkpoint of either format."""
    body = b"\x80\x02" + encode(top, form == "legacy") + b"."
    storages = {key: array.tobytes() for key, array in elements.items()}
    if form == "zip":
        return zip_bytes(body, storages)
    return legacy_bytes(body, storages, {key: array.size for key, array in elements.items()})


def read(tmp_path: Path, content: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    return read_torch_checkpoint(path)


def refuse(tmp_path: Path, content: bytes, match: str = ".") -> str:
    """Read a file that must be refused, check the form of the message, and return it."""
    path = tmp_path / "refused.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=match) as caught:
        read_torch_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.isprintable() and len(message) < 900, message
    assert "; " in message, "the message does not say what to do"
    # Only zipfile may raise another error first; any other cause means that a check is missing.
    assert not re.search(r"\((?!BadZipFile|EOFError)\w+(Error|Exception): ", message), message
    return message


def both(body: bytes) -> dict[str, bytes]:
    """The same pickle in a zip checkpoint and in an older one, with a storage "0" of four floats."""
    raw = {"0": np.arange(4, dtype="f4").tobytes()}
    legacy = legacy_bytes(body, raw, {"0": 4}, keys=["0"] if b"storage" in body else [])
    return {"zip": zip_bytes(body, raw), "legacy": legacy}


FORMATS = pytest.mark.parametrize("form", ["zip", "legacy"])
FOUR = contiguous("Float", (4,))


# The same values as torch.


@pytest.fixture(params=CHECKPOINTS or [None], ids=lambda path: path.name if path else "none")
def network(request) -> Path:
    if request.param is None:
        pytest.skip("the reference networks are not there (shared/reference/networks beside the repository)")
    return request.param


def test_reads_the_reference_networks(network):
    arrays = read_torch_checkpoint(network)
    assert len(arrays) > 20
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())


def test_reads_the_reference_networks_as_torch_does(network):
    torch = pytest.importorskip("torch")
    arrays = read_torch_checkpoint(network)
    expected = torch.load(network, weights_only=True, map_location="cpu")
    assert list(arrays) == list(expected)
    for name, tensor in expected.items():
        assert_same(arrays[name], tensor)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}], ids=str)
def test_reads_what_torch_saves(tmp_path, options):
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(6, 8, generator=generator)
    state = {
        "base": base,
        "transposed": base.t(),
        "inner": base[1:4, 2::3],
        "row": base[3],
        "repeated": base[0].expand(5, 8),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "half": torch.randn(3, 5, generator=generator).half(),
        "bfloat16": torch.randn(3, 5, generator=generator).bfloat16(),
        "double": torch.randn(3, 5, generator=generator).double(),
        "extremes": torch.tensor([float("inf"), float("-inf"), -0.0, 1e-45, 3e38]),
        "long": torch.tensor([-(2**62), 7]),
        "int": torch.tensor([-7], dtype=torch.int32),
        "byte": torch.arange(250, 256, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(base[2] * 2),
    }
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    tops = {
        "flat": (state, state),
        "layers": (network.state_dict(), network.state_dict()),
        "training": (
            {"epoch": 3, "state_dict": state, "optimizer": torch.optim.Adam(network.parameters()).state_dict()},
            state,
        ),
    }
    for top, expected in tops.values():
        path = tmp_path / "net.pth"
        torch.save(top, path, **options)
        arrays = read_torch_checkpoint(path)
        assert list(arrays) == list(expected)
        for name, tensor in expected.items():
            assert_same(arrays[name], tensor)


def assert_same(array: np.ndarray, tensor) -> None:
    """The same type, shape and bits; floats as float32."""
    expected = (tensor.float() if tensor.is_floating_point() else tensor).detach().contiguous().numpy()
    assert array.dtype == expected.dtype and array.shape == expected.shape
    assert array.tobytes() == expected.tobytes()
    assert array.flags.writeable and array.flags.c_contiguous


def test_imports_no_torch(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(checkpoint("zip", {"a": FOUR}, {"0": np.arange(4, dtype="f4")}))
    code = (
        "import sys; from blindsr_jax.weights.torch_reader import read_torch_checkpoint\n"
        "assert list(read_torch_checkpoint(sys.argv[1])['a']) == [0, 1, 2, 3]\n"
        "sys.exit(any(name.split('.')[0] == 'torch' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=REPOSITORY, timeout=120)


# Sound files, assembled by hand.


@FORMATS
@pytest.mark.parametrize("kind", DTYPES)
def test_element_types(tmp_path, form, kind):
    stored = np.array([[0, 1, -2.5, 1e4], [3, 0, 200, 0.1]]).astype("f4").clip(0 if kind == "Byte" else -1e9, 1e9)
    stored = np.minimum(stored, 255).astype(DTYPES[kind])
    result = read(tmp_path, checkpoint(form, {"a": contiguous(kind, (2, 4))}, {"0": stored}))["a"]
    expected = stored.astype("f4") if kind in ("Half", "BFloat16", "Double", "Float") else stored
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@FORMATS
def test_a_tensor_without_a_state_dict(tmp_path, form):
    values, path = np.arange(6, dtype="f4"), tmp_path / "tensor.pth"
    path.write_bytes(checkpoint(form, contiguous("Float", (2, 3)), {"0": values}))
    np.testing.assert_array_equal(read_torch_tensor(path), values.reshape(2, 3))
    with pytest.raises(WeightsError, match="where a state dict is expected"):
        read_torch_checkpoint(path)
    path.write_bytes(checkpoint(form, {"a": contiguous("Float", (2, 3))}, {"0": values}))
    with pytest.raises(WeightsError, match="where a tensor is expected"):
        read_torch_tensor(path)


@FORMATS
def test_views_of_one_storage(tmp_path, form):
    base = np.arange(24, dtype="f4")
    top = {
        "whole": Tensor("Float", 24, (4, 6), (6, 1)),
        "transposed": Tensor("Float", 24, (6, 4), (1, 6)),
        "inner": Tensor("Float", 24, (2, 2), (6, 3), 7),
        "repeated": Tensor("Float", 24, (3, 2), (0, 1), 22),
        "scalar": Tensor("Float", 24, (), (), 23),
        "empty": Tensor("Float", 24, (0, 3), (3, 1), 24),
        "one": Tensor("Float", 24, (1, 2), (2**62, 1), 22),
    }
    arrays = read(tmp_path, checkpoint(form, top, {"0": base}))
    square = base.reshape(4, 6)
    expected = {
        "whole": square,
        "transposed": square.T,
        "inner": square[1:3, 1:5:3],
        "repeated": np.tile(base[22:], (3, 1)),
        "scalar": base[23],
        "empty": np.zeros((0, 3)),
        "one": base[None, 22:],
    }
    assert list(arrays) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].shape == value.shape
        assert arrays[name].flags.c_contiguous and arrays[name].flags.writeable
    arrays["whole"][:] = -1
    np.testing.assert_array_equal(arrays["inner"], expected["inner"], "the arrays share memory")


def test_views_of_the_older_format(tmp_path):
    """Before version 0.4 the pickle itself described parts of a storage."""
    base = np.arange(10, dtype="f4")
    part = Tensor("Float", 10, (2, 2), (2, 1), 1, view=("part", 3, 5))
    np.testing.assert_array_equal(read(tmp_path, checkpoint("legacy", {"a": part}, {"0": base}))["a"], [[4, 5], [6, 7]])
    for bad in (part._replace(view=("part", 6, 5)), part._replace(start=2), part._replace(view=("part", -1, 5))):
        refuse(tmp_path, checkpoint("legacy", {"a": bad}, {"0": base}), "storage")


@FORMATS
@pytest.mark.parametrize(
    ("top", "name", "key"),
    [
        ({"a": FOUR}, "a", "0"),
        ({"module.a": FOUR, "module.b": FOUR}, "a", "0"),
        ({"module.a": FOUR, "b": FOUR}, "module.a", "0"),
        ({"state_dict": {"module.a": FOUR}, "epoch": 3, "losses": [0.5, None], "tag": b"x"}, "a", "0"),
        ({"params": {"a": FOUR._replace(key="1")}, "params_ema": {"a": FOUR}}, "a", "0"),
        ({"state_dict": {"a": FOUR}, "params": {"a": FOUR._replace(key="1")}}, "a", "1"),
        ({"params_ema": FOUR}, "params_ema", "0"),
    ],
)
def test_where_the_state_dict_is(tmp_path, form, top, name, key):
    elements = {"0": np.arange(4, dtype="f4"), "1": -np.arange(4, dtype="f4")}
    # The older format lists only the storages that the pickle mentions.
    elements = {key: array for key, array in elements.items() if repr(key) in repr(top)}
    np.testing.assert_array_equal(read(tmp_path, checkpoint(form, top, elements))[name], elements[key])


def test_a_prefix_that_only_some_names_have_stays(tmp_path):
    content = checkpoint("zip", {"module.a": FOUR, "b": FOUR}, {"0": np.arange(4, dtype="f4")})
    assert list(read(tmp_path, content)) == ["module.a", "b"]


@FORMATS
def test_ordered_dict_with_metadata_and_parameters(tmp_path, form):
    """The pickle of Module.state_dict() in the opcodes of protocol 4, with memo and frames."""
    parameter = call(glob("torch._utils", "_rebuild_parameter"), (Raw(encode(FOUR, form == "legacy")), True, ordered()))
    name = b"\x8c\x01a\x94"
    state = ordered() + b"\x94(" + name + parameter + b"u" + encode({"_metadata": {"": {"version": 1}}}) + b"b"
    body = b"\x80\x04\x95" + struct.pack("<Q", len(state)) + state + b"."
    np.testing.assert_array_equal(read(tmp_path, both(body)[form])["a"], [0, 1, 2, 3])


@FORMATS
def test_only_the_storages_of_the_state_dict_are_read(tmp_path, form):
    """An optimizer state can be larger than the model and is not read."""
    top = {"params": {"a": FOUR}, "optimizer": {0: contiguous("Float", (6 << 20,), key="1")}}
    content = checkpoint(form, top, {"0": np.arange(4, dtype="f4"), "1": np.zeros(6 << 20, "f4")})
    with peak_below(12 << 20):
        assert list(read(tmp_path, content)) == ["a"]


def test_values_beyond_float32_become_infinite(tmp_path):
    values = np.array([1e300, -1e300, 1.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = read(tmp_path, checkpoint("zip", {"a": contiguous("Double", (3,))}, {"0": values}))["a"]
    np.testing.assert_array_equal(result, [np.inf, -np.inf, 1.5])


@pytest.mark.parametrize("kind", ["Float", "BFloat16", "Byte", "Long"])
@pytest.mark.parametrize("byteorder", [b"big", b"little", None])
def test_byte_order(tmp_path, kind, byteorder):
    values = np.array([1, 2, 200], DTYPES[kind])
    raw = values.byteswap().tobytes() if byteorder == b"big" else values.tobytes()
    body = encode({"a": contiguous(kind, (3,))}) + b"."
    result = read(tmp_path, zip_bytes(body, {"0": raw}, byteorder, root="any name"))["a"]
    np.testing.assert_array_equal(result, values.astype(result.dtype))


def test_an_unused_memo_number_takes_no_memory(tmp_path):
    """Python's C unpickler would allocate a table with that many entries."""
    body = b"N" + b"r\xff\xff\xff\xff" + b"\x85" + encode(0) + b"\x86" + encode({"params": {"a": FOUR}})
    with peak_below(2 << 20):
        refuse(tmp_path, both(body + b".")["zip"], "leaves values over")


# Seconds of this thread's processor time. Refusing a file takes milliseconds and a bomb never ends. The margin allows
# for the garbage collection of earlier tests' objects.
ENDLESS = 20


@contextlib.contextmanager
def ends_soon():
    """Fail if the block takes more than ``ENDLESS`` seconds of processor time."""
    before = time.thread_time()
    yield
    assert time.thread_time() - before < ENDLESS


@contextlib.contextmanager
def peak_below(most: int):
    """Fail if the block's peak of Python memory reaches ``most`` bytes."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak} bytes"


# Hostile pickles. If executed, they create the file "executed" in the working directory.

TOUCH = ("touch executed",)
OPEN = ("open('executed', 'w').close()",)
EXECUTING = {
    "os.system by GLOBAL": call(glob("os", "system"), TOUCH),
    "os.system by STACK_GLOBAL": encode("os") + encode("system") + b"\x93" + encode(TOUCH) + b"R",
    "os.system by INST": b"(" + encode(TOUCH[0]) + b"ios\nsystem\n",
    "os.system by OBJ": b"(" + glob("os", "system") + encode(TOUCH[0]) + b"o",
    "os.system in the state": encode({"params": {"a": call(glob("os", "system"), TOUCH)}}),
    "builtins.eval": call(glob("builtins", "eval"), OPEN),
    "builtins.exec": call(glob("builtins", "exec"), OPEN),
    "subprocess": call(glob("subprocess", "check_call"), (["touch", "executed"],)),
    "a method by getattr": call(
        call(glob("builtins", "getattr"), (call(glob("pathlib", "Path"), ("executed",)), "touch")), ()
    ),
}


@FORMATS
@pytest.mark.parametrize("name", EXECUTING)
def test_nothing_is_executed(tmp_path, monkeypatch, form, name):
    monkeypatch.chdir(tmp_path)
    refuse(tmp_path, both(b"\x80\x04" + EXECUTING[name] + b".")[form], "asks for|opcode")
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", EXECUTING)
def test_the_hostile_pickles_would_execute(tmp_path, monkeypatch, name):
    """Otherwise the test above could pass because its pickles are harmless."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(b"\x80\x04" + EXECUTING[name] + b".")
    assert Path("executed").exists()


SOUND = encode({"a": FOUR})
DEEP = 20_000
METADATA = {"_metadata": 1}


def ignored(body: bytes) -> bytes:
    """A sound state dict beside an entry that the reader ignores."""
    return encode({"params": Raw(SOUND), "x": Raw(body)})


# Pattern of the message -> name -> pickle.
REFUSED = {
    "asks for": {
        "a function that is not called": ignored(glob("os", "system")),
        "torch's own unpickling": call(glob("torch.storage", "_load_from_bytes"), (b"N.",)),
        "a class with __setstate__": glob("collections", "deque") + encode(()) + b"\x81" + encode({"a": 1}) + b"b",
        "a rebuilt type": glob("torch._tensor", "_rebuild_from_type_v2") + encode(()) + b"R",
        "a new object": glob("subprocess", "Popen") + encode(()) + b"\x81",
        "a name with a line break": encode("torch\nos") + encode("system") + b"\x93",
        "a name with a space": encode("collections OrderedDict") + encode("") + b"\x93",
    },
    "asks for|not that of a state dict": {"a global without an end": b"cos" + b"x" * 100_000},
    "does not lie inside": {"a call with a list": glob("torch._utils", "_rebuild_tensor_v2") + encode([1, 2]) + b"R"},
    "not that of a state dict": {
        "a name that is no string": encode(1) + encode(2) + b"\x93",
        "a call of the state": b"}" + encode(()) + b"R",
        "a call of a tensor": encode(FOUR) + encode(()) + b"R",
        "a call of a storage type": glob("torch", "FloatStorage") + encode((4,)) + b"R",
        "a metadata for a dict": SOUND + encode(METADATA) + b"b",
        "nothing": b"",
        "a tuple of nothing": b"\x87",
        "marks that are not there": b"tt",
        "a value from below a mark": b"K\x01(\x85",
        "a memo that is not there": b"h\x07",
        "an append to a dict": b"}" + encode(1) + b"a",
        "an entry of a list": b"]" + encode("a") + encode(1) + b"s",
        "an odd number of entries": b"}(" + encode("a") + b"u",
        "a text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xfe",
    },
    "calls what": {
        "an OrderedDict with arguments": call(glob("collections", "OrderedDict"), ([("a", 1)],)),
        "an OrderedDict with a bomb": call(glob("collections", "OrderedDict"), (10**12,)),
        "a parameter of a list": call(glob("torch._utils", "_rebuild_parameter"), ([FOUR], True, None)),
    },
    "changes an object": {
        "a state for a tensor": encode({"a": Raw(encode(FOUR) + encode({"start": 10**6}) + b"b")}),
        "a metadata for a tensor": encode({"a": Raw(encode(FOUR) + encode(METADATA) + b"b")}),
        "a state for a storage type": glob("torch", "FloatStorage") + encode({"name": "os system"}) + b"b",
        "a state for a function": glob("torch._utils", "_rebuild_tensor_v2") + encode((None, {"run": 1})) + b"b",
        "a state for an OrderedDict": ordered() + encode({"__class__": 1}) + b"b",
        "a state with slots": ordered() + encode((None, METADATA)) + b"b",
    },
    "opcode": {
        "a new allowed object": glob("collections", "OrderedDict") + encode(()) + b"\x81",
        "a copyreg extension": b"\x82\x01",
        "bytes of 2**63": b"\x8e" + b"\xff" * 7 + b"\x7f",
        "a bytearray of 2**40": b"\x96" + struct.pack("<Q", 2**40),
        "an integer of 2 GiB": b"\x8b\xff\xff\xff\x7f",
        "digits": b"I" + b"9" * 100_000 + b"\n",
        "a pop": b"0",
    },
    "stops in the middle|not that of a state dict": {
        "a text of 4 GiB": b"X\xff\xff\xff\xff" + b"a",
        "bytes of 4 GiB": b"B\xff\xff\xff\xff" + b"a",
    },
    "leaves values over": {"two values": SOUND + SOUND, "a mark left over": b"(" + SOUND},
    "odd keys": {
        "a key that is a tuple": encode({("a",): 1}),
        "a key that is a float": encode({1.5: 1}),
        "a key that is a list": b"}" + encode([]) + encode(1) + b"s",
        "a key of half a character": b"}X\x03\x00\x00\x00\xed\xa0\x80" + encode(1) + b"s",
        "a key that rings the bell": encode({"a\a": 1}),
        "keys that collide": encode({step * (2**61 - 1): 0 for step in range(5_000)}),
        "keys that collide in a dict": encode({step << 40: 0 for step in range(5_000)}),
        "a key that takes 2**60 steps to hash": b"}" + encode(()) + b"q\x00h\x00\x86" * 60 + encode(1) + b"s",
    },
    "where a state dict is expected": {"a list": encode([FOUR]), "None": b"N"},
    "is empty": {"an empty dict": encode({}), "an empty state": encode({"params_ema": {}, "params": {"a": FOUR}})},
    "not a tensor": {
        "a dict in itself": b"}q\x00(" + encode("state_dict") + b"h\x00u",
        "a number among the tensors": encode({"a": FOUR, "epoch": 3}),
        "a number as a name": encode({1: FOUR}),
        "a state two levels down": encode({"net": {"a": FOUR}}),
        "a storage": encode({"a": Raw(encode(("storage", glob("torch", "FloatStorage"), "0", "", 4)) + b"Q")}),
    },
}


@FORMATS
@pytest.mark.parametrize(("match", "name"), [(match, name) for match, group in REFUSED.items() for name in group])
def test_refused_pickles(tmp_path, form, match, name):
    content = both(b"\x80\x02" + REFUSED[match][name] + b".")[form]
    with ends_soon():
        refuse(tmp_path, content, match)
    with peak_below(16 << 20):
        refuse(tmp_path, content)


# Entries beside a sound state dict that would be bombs for a reader that traverses them.
IGNORED = {
    "a list in itself": b"]q\x00h\x00a",
    "a list in itself very often": b"]q\x00(" + b"h\x00" * DEEP + b"e",
    "a list doubled 30 times": b"]" + b"q\x00h\x00\x86" * 30,
    "nested lists": b"]" * DEEP + b"a" * (DEEP - 1),
    "nested tuples": b")" + b"\x85" * DEEP,
    "nested dicts": b"}K\x00" * DEEP + b"}" + b"s" * DEEP,
    "nested marks": b"(" * DEEP + b"t" * DEEP,
}


@FORMATS
@pytest.mark.parametrize("name", IGNORED)
def test_tangles_beside_the_state_dict_are_not_looked_into(tmp_path, form, name):
    content = both(ignored(IGNORED[name]) + b".")[form]
    with ends_soon(), peak_below(16 << 20):
        assert list(read(tmp_path, content)) == ["a"]


@FORMATS
def test_what_the_refused_pickles_are_made_of_is_accepted(tmp_path, form):
    """Otherwise the test above could pass because nothing is accepted."""
    assert list(read(tmp_path, both(SOUND + b".")[form])) == ["a"]
    assert list(read(tmp_path, both(ignored(encode([1, (2, {"b": None})])) + b".")[form])) == ["a"]


FLOAT = glob("torch", "FloatStorage")


@FORMATS
@pytest.mark.parametrize(
    "identity",
    [
        "0",
        None,
        (),
        ("storage",),
        ("storage", FLOAT, "0", "cpu"),
        ("storage", FLOAT, "0", "cpu", 4, None, None),
        ("module", FLOAT, "0", "cpu", 4),
        ("storage", "FloatStorage", "0", "cpu", 4),
        ("storage", glob("collections", "OrderedDict"), "0", "cpu", 4),
        ("storage", FLOAT, 0, "cpu", 4),
        ("storage", FLOAT, "0", None, 4),
        ("storage", FLOAT, "0", "cpu", "4"),
        ("storage", FLOAT, "0", "cpu", 4.0),
        ("storage", FLOAT, "0", "cpu", -4),
        ("storage", FLOAT, "0", "cpu", 4, ("view", 2, 3)),
        ("storage", FLOAT, "0", "cpu", 4, ("view", -1, 3)),
        ("storage", FLOAT, "0", "cpu", 4, ("view", 1, -1)),
        ("storage", FLOAT, "0", "cpu", 4, "view"),
    ],
    ids=str,
)
def test_refused_persistent_ids(tmp_path, form, identity):
    tensor = call(
        glob("torch._utils", "_rebuild_tensor_v2"), (Raw(encode(identity) + b"Q"), 0, (2,), (1,), False, None)
    )
    refuse(tmp_path, both(encode({"a": tensor}) + b".")[form], "storage that cannot be")


@FORMATS
@pytest.mark.parametrize(
    ("identity", "match"),
    [
        (("storage", FLOAT, "0", "cpu", 5), "another size|has 16 bytes|need"),
        (("storage", FLOAT, "0", "cpu", 2**62), "need"),
        (("storage", FLOAT, "../../data.pkl", "cpu", 4), "missing|list of storages"),
    ],
    ids=str,
)
def test_refused_storages(tmp_path, form, identity, match):
    """Persistent ids of the right form for storages that the file does not have."""
    tensor = call(
        glob("torch._utils", "_rebuild_tensor_v2"), (Raw(encode(identity) + b"Q"), 0, (2,), (1,), False, None)
    )
    refuse(tmp_path, both(encode({"a": tensor}) + b".")[form], match)


@FORMATS
@pytest.mark.parametrize(
    ("start", "size", "stride"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (2,), (2**62,)),
        (4, (), ()),
        (5, (0,), (1,)),
        (2**80, (1,), (1,)),
        (-1, (2,), (1,)),
        (3, (4,), (-1,)),
        (0, (-1,), (1,)),
        (0, (-2, -2), (1, 1)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (2**27,), (0,)),
        (0, (0, 2**70), (1, 1)),
        (0, (0, 2**40, 2**40), (1, 1, 1)),
        (0, (4,), ()),
        (0, (), (1,)),
        (0, (1,) * 65, (1,) * 65),
        (0, (4.0,), (1,)),
        (0, (True,), (1,)),
        (0, ("4",), (1,)),
        (0, [4], [1]),
        (None, (4,), (1,)),
    ],
    ids=str,
)
def test_refused_tensors(tmp_path, form, start, size, stride):
    tensor = Tensor("Float", 4, size, stride, start)
    with peak_below(8 << 20):
        refuse(tmp_path, both(encode({"a": tensor}, form == "legacy") + b".")[form])


@pytest.mark.parametrize("arguments", [(), (1, 2), (FLOAT,) * 6, (None, 0, (1,), (1,), False, None)], ids=str)
def test_refused_tensor_arguments(tmp_path, arguments):
    refuse(tmp_path, both(encode({"a": call(glob("torch._utils", "_rebuild_tensor_v2"), arguments)}) + b".")["zip"])


def test_a_tensor_with_unknown_properties_is_refused(tmp_path):
    """The seventh argument can, for example, mark a tensor whose values must be negated."""
    storage = Raw(encode(("storage", FLOAT, "0", "cpu", 4)) + b"Q")
    for properties, accepted in (({}, True), ({"neg": True}, False)):
        arguments = (storage, 0, (4,), (1,), False, None, properties)
        content = both(encode({"a": call(glob("torch._utils", "_rebuild_tensor_v2"), arguments)}) + b".")["zip"]
        if accepted:
            read(tmp_path, content)
        else:
            refuse(tmp_path, content)


@FORMATS
def test_one_storage_under_many_names_is_limited(tmp_path, form):
    """Each name takes a few bytes in the file and a whole copy in memory."""
    elements = {"0": np.zeros(1 << 18, "f4")}
    tensor = contiguous("Float", (1 << 18,))
    first = b"\x80\x02}(" + encode("a") + encode(tensor, form == "legacy") + b"q\x00"
    for names, accepted in ((50, True), (2000, False)):
        body = first + b"".join(encode(str(i)) + b"h\x00" for i in range(names)) + b"u."
        raw = {"0": elements["0"].tobytes()}
        content = zip_bytes(body, raw) if form == "zip" else legacy_bytes(body, raw, {"0": 1 << 18})
        if accepted:
            assert len(read(tmp_path, content)) == names + 1
        else:
            with peak_below(8 << 20):
                refuse(tmp_path, content, "would become")


# Hostile containers.


def zip_with(change=None, **entries: bytes) -> bytes:
    """A zip checkpoint with a storage "0" of 4000 floats, some entries replaced, and its entry "0" changed."""
    entries = {"data.pkl": encode({"a": contiguous("Float", (4000,))}) + b".", "data/0": bytes(16000), **entries}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, raw in entries.items():
            if raw is not None:
                archive.writestr(f"net/{name}", raw)
        if change:
            change(archive)
    return buffer.getvalue()


def rewrite(method: int):
    def change(archive: zipfile.ZipFile) -> None:
        archive.writestr("net/data/7", bytes(16000), compress_type=method)

    return change


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(tmp_path, method):
    body = encode({"a": contiguous("Float", (4000,), key="7")}) + b"."
    refuse(tmp_path, zip_with(rewrite(method), **{"data.pkl": body}), "compressed")
    assert read(tmp_path, zip_with(rewrite(zipfile.ZIP_STORED), **{"data.pkl": body}))["a"].shape == (4000,)


def test_a_zip_bomb_is_refused(tmp_path):
    """The pickle is 300 MB of zeros in a file of about 300 kB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("net/data.pkl", bytes(300 << 20))
    with peak_below(8 << 20):
        refuse(tmp_path, buffer.getvalue(), "compressed")


@pytest.mark.parametrize(
    ("size", "compressed_size", "match"),
    [
        (16004, 16000, "compressed"),
        (16004, 16004, "EOF|CRC|Overlap"),
        (2**31, 16000, "need"),
        (2**31, 2**31, "need"),
        (2**32 - 4, 2**32 - 4, "need"),
    ],
)
def test_an_entry_that_lies_about_its_size_is_refused(tmp_path, size, compressed_size, match):
    content = bytearray(zip_with(**{"data.pkl": encode({"a": contiguous("Float", (size // 4,))}) + b"."}))
    central = content.rindex(b"PK\x01\x02")  # The last entry of the directory is the storage.
    struct.pack_into("<II", content, central + 20, compressed_size, size)
    with peak_below(8 << 20):
        refuse(tmp_path, bytes(content), match)


def test_a_pickle_that_lies_about_its_size_is_refused(tmp_path):
    content = bytearray(zip_with())
    central = content.index(b"PK\x01\x02")
    struct.pack_into("<II", content, central + 20, 3 << 20, 3 << 20)
    with peak_below(1 << 20):
        refuse(tmp_path, bytes(content), "more than it can need")


def test_entries_at_the_same_place_are_refused(tmp_path):
    """Many names for one position in the file would multiply its bytes in memory."""
    names = [f"net/data/{i:04}" for i in range(200)]
    body = encode({name: contiguous("Float", (1 << 16,), key=name[9:]) for name in names}) + b"."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", body)
        archive.writestr(names[0], bytes(1 << 18))
        first = archive.getinfo(names[0])
        for name in names[1:]:
            twin = zipfile.ZipInfo(name)
            twin.CRC, twin.header_offset = first.CRC, first.header_offset
            twin.file_size = twin.compress_size = first.file_size
            archive.filelist.append(twin)
            archive.NameToInfo[name] = twin
    with peak_below(8 << 20):
        refuse(tmp_path, buffer.getvalue(), "tensors need")


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("net/data/0", bytes(16000))


def second_root(archive: zipfile.ZipFile) -> None:
    archive.writestr("other/data.pkl", b"N.")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (zip_with(**{"data.pkl": None}), "one data.pkl"),
        (zip_with(twice), "no name twice"),
        (zip_with(second_root), "one data.pkl"),
        (zip_with(**{"data/0": None, "data/1": bytes(16000)}), "missing"),
        (zip_with(**{"data/0": bytes(15999)}), "15999"),
        (zip_with(**{"data/0": bytes(16004)}), "16004"),
        (zip_with(byteorder=b"middle"), "byte order"),
        (zip_with(byteorder=bytes(10_000)), "byteorder"),
        (zip_with(**{"data.pkl": bytes(5 << 20)}), "more than it can need"),
        (zip_with()[:-1], "."),
        (zip_with()[:8000], "."),
        (zip_with()[:4], "."),
        (zip_with().replace(bytes(16000), bytes(15999) + b"\1"), "CRC"),
    ],
)
def test_refused_zip_files(tmp_path, content, match):
    refuse(tmp_path, content, match)


def test_an_encrypted_entry_is_refused(tmp_path):
    content = bytearray(zip_with())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    refuse(tmp_path, bytes(content), "encrypted")


FOUR_RAW = np.arange(4, dtype="f4").tobytes()
LEGACY_BODY = encode({"a": FOUR}, legacy=True) + b"."


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 5}), "another size"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": -4}), "another size"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW[:-1]}, {"0": 4}), "need"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}, keys=[]), "missing"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}, keys=["0", "1"]), "list of storages"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}, keys=["0"] * 100), "need"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}, keys=[["0"]]), "list of storages"),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}, keys={"0": 1}), "list of storages"),
        (
            legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4}).replace(encode(1001), encode(1002), 1),
            "unknown version",
        ),
        (legacy_bytes(LEGACY_BODY, {"0": FOUR_RAW}, {"0": 4})[:-1], "need"),
        (LEGACY_MAGIC, "stops in the middle"),
        (LEGACY_MAGIC + bytes(5 << 20), "opcode"),
        (LEGACY_MAGIC + b"\x80\x02K\x01" + b"N" * (5 << 20), "far larger"),
        (b"", "not a PyTorch checkpoint"),
        (b"weights\n", "not a PyTorch checkpoint"),
        (b"\x80\x02}.", "not a PyTorch checkpoint"),
        (bytes(1 << 16), "not a PyTorch checkpoint"),
    ],
)
def test_refused_legacy_files(tmp_path, content, match):
    refuse(tmp_path, content, match)


@FORMATS
def test_a_storage_with_two_sizes_or_types_is_refused(tmp_path, form):
    for other in (contiguous("Float", (3,)), contiguous("Int", (4,))):
        content = checkpoint(form, {"a": FOUR, "b": other}, {"0": np.arange(4, dtype="f4")})
        refuse(tmp_path, content, "two types or sizes")


# Paths.


def test_refused_paths(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in ("missing.pth", "pipe", "folder", "nul\0", "line\nbreak", "x" * 5000):
        with pytest.raises(WeightsError) as caught:
            read_torch_checkpoint(tmp_path / path)
        assert str(caught.value).isprintable() and "; " in str(caught.value)
    for path in (None, 0, b"missing.pth", ["net.pth"]):
        with pytest.raises(WeightsError):
            read_torch_checkpoint(path)


def test_a_path_can_be_a_string(tmp_path):
    (tmp_path / "net.pth").write_bytes(checkpoint("zip", {"a": FOUR}, {"0": np.arange(4, dtype="f4")}))
    assert list(read_torch_checkpoint(str(tmp_path / "net.pth"))) == ["a"]


# Random damage.


def mutate(rng: random.Random, content: bytes) -> bytes:
    """One to four random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 2, 4, 8, 30)))
        kind = rng.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:to] = rng.randbytes(to - at)
        elif kind == 2:
            data[at:to] = rng.choice((b"\0", b"\xff", b"\x7f")) * (to - at)
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            data[at:at] = bytes([rng.choice(b"(.0123tRbQqrhjaesu}])NJKMX\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94\x95")])
        elif kind == 5:
            source = rng.randrange(len(data) + 1)
            data[at:to] = data[source : source + rng.randrange(60)]
        elif kind == 6:
            del data[at:to]
        elif rng.randrange(4) == 0:
            del data[at:]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["zip", "legacy", "pickle in zip", "pickle in legacy"])
def test_random_damage(tmp_path, part):
    """The outcome is a WeightsError or a sound dict, quickly and with little memory; the drills have more files."""
    rng = random.Random(part)
    elements = {"0": np.arange(24, dtype="f4"), "1": np.arange(6, dtype="f2")}
    state = {"module.a": Tensor("Float", 24, (4, 6), (6, 1)), "module.b": contiguous("Half", (2, 3), key="1")}
    state["module.c"] = Tensor("Float", 24, (2, 2), (6, 3), 7)
    top = {"params_ema": state, "epoch": 3, "history": [0.5, None, True, "x", (1, 2)]}
    body = b"\x80\x02" + encode(top, "legacy" in part) + b"."
    raw = {key: array.tobytes() for key, array in elements.items()}
    counts = {key: array.size for key, array in elements.items()}
    path = tmp_path / "net.pth"
    refused = read_fine = 0
    most_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (256 << 10)
    for _ in range(4_000):
        if part == "zip":
            content = mutate(rng, zip_bytes(body, raw))
        elif part == "legacy":
            content = mutate(rng, legacy_bytes(body, raw, counts))
        elif part == "pickle in zip":  # The checksums of the zip hide the pickle from the changes above.
            content = zip_bytes(mutate(rng, body), raw)
        else:
            content = legacy_bytes(mutate(rng, body), raw, counts)
        path.write_bytes(content)
        before = time.thread_time()
        try:
            arrays = read_torch_checkpoint(path)
            read_fine += 1
            assert arrays and all(type(name) is str for name in arrays)
            assert all(array.dtype in ("f4", "i8", "i4", "u1", "?") for array in arrays.values())
        except WeightsError as error:
            refused += 1
            assert str(error).isprintable()
        assert time.thread_time() - before < ENDLESS, content
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < most_memory, content
    assert refused > 1000 and read_fine > 50, (refused, read_fine)
