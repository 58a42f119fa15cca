"""Kernel files that lie about their sizes, or are something else: an answer at once, in little memory."""

import os
import struct
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
from PIL import Image

from blindsr_jax.errors import DataError
from blindsr_jax.images.kernel_arrays import read_kernel, read_kernels

_CELL, _STRUCT, _DOUBLE = 1, 2, 6
_MATRIX, _COMPRESSED = 14, 15


def _npy(shape, kind, data=b""):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


def _element(kind, data):
    return struct.pack("<2I", kind, len(data)) + data + bytes(-len(data) % 8)


def _variable(kind, shape, content, name=b"kernel"):
    flags, sides = struct.pack("<2I", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return _element(_MATRIX, _element(6, flags) + _element(5, sides) + _element(1, name) + content)


def _compressed(variable):
    data = zlib.compress(variable, 9)
    return struct.pack("<2I", _COMPRESSED, len(data)) + data


def _mat(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(elements)


_ONE = _variable(_DOUBLE, (1, 1), _element(2, b"\1"), b"")
_HOSTILE = {
    "no elements.npy": (_npy((10**8, 0, 0), "<f8"), "no kernel"),
    "negative.npy": (_npy((-1, 3, 3), "<f8", bytes(720)), "no kernel"),
    "void.npy": (_npy((10**9,), "|V0"), "of numbers"),
    "text.npy": (_npy((10**9, 3, 3), "<U0"), "of numbers"),
    "large.npy": (_npy((10**6, 31, 31), "<f8"), "too many numbers"),
    "short.npy": (_npy((100, 31, 31), "<f8"), "ends before"),
    "many.npy": (_npy((10**5, 1, 1), "|u1", b"\1" * 10**5), "100,000 kernels"),
    "wide.npy": (_npy((1025, 1025), "|u1", b"\1" * 1025**2), "1023 pixels"),
    "zlib.mat": (
        _mat(_compressed(_variable(_DOUBLE, (4800, 4800), _element(9, bytes(8 * 4800**2))))),
        "bytes, too many",
    ),
    "numbers.mat": (_mat(_variable(_DOUBLE, (2**31 - 1,) * 32, _element(2, b"\1"))), "numbers, too many"),
    "cells.mat": (_mat(_variable(_CELL, (10**8, 1), b"")), "no kernel"),
    "empty cells.mat": (_mat(_variable(_CELL, (10**4, 1), _element(_MATRIX, b"") * 10**4)), "empty cell"),
    "many cells.mat": (_mat(_compressed(_variable(_CELL, (33000, 1), _ONE * 33000))), "more than 32,768"),
    "cell in cell.mat": (_mat(_variable(_CELL, (1, 1), _variable(_CELL, (1, 1), _ONE))), "cell inside a cell"),
    "structs.mat": (_mat(_variable(_STRUCT, (10**8, 1), b"")), "a struct"),
    "variables.mat": (_mat(*[_ONE.replace(b"\1\0\0\0\0\0\0\0", b"\1\0\0\0\1\0\0\0k") for _ in range(2)]), "damaged"),
    "many variables.mat": (_mat(*[_variable(_DOUBLE, (1, 1), _element(2, b"\1"), b"k")] * 2000), "1024 variables"),
    "cut.mat": (_mat(_compressed(_ONE)[:-4]), "damaged"),
    "no tag.mat": (_mat(b"\1\2\3"), "damaged"),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_sizes_that_cannot_be_are_refused_in_little_memory(tmp_path, name):
    content, message = _HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read_kernels(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", range(129, 380, 9))
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, cut):
    scipy.io.savemat(tmp_path / "k.mat", {"kernel": np.arange(1.0, 26.0).reshape(5, 5) / 7})
    whole = (tmp_path / "k.mat").read_bytes()
    assert cut < len(whole)
    (tmp_path / "k.mat").write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"damaged|no kernel|none"):
        read_kernels(tmp_path / "k.mat")


@pytest.mark.parametrize("name", ["k.npy", "k.mat", "k.png"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    answered = []

    def read():
        with pytest.raises(DataError, match="a pipe or a device"):
            read_kernels(tmp_path / name)
        answered.append(name)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert answered


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "u4", "i8"])
def test_numbers_of_every_type_among_other_variables(tmp_path, dtype, compress):
    kernel = np.arange(1, 10).reshape(3, 3).astype(dtype)
    others = {"note": "text", "camera": {"iso": 100}, "mask": np.eye(3) > 0}
    scipy.io.savemat(tmp_path / "k.mat", {**others, "Kernel": kernel}, do_compression=compress)
    np.testing.assert_allclose(read_kernel(tmp_path / "k.mat"), kernel / 45)


@pytest.mark.parametrize("name", ["K.MAT", "k.npy", "kernel"])
def test_the_content_tells_the_format(tmp_path, name):
    scipy.io.savemat(tmp_path / "k.mat", {"K": np.eye(3)})
    (tmp_path / "k.mat").rename(tmp_path / name)
    np.testing.assert_allclose(read_kernel(tmp_path / name), np.eye(3) / 3)


@pytest.mark.parametrize("order", "CF")
def test_axes_of_one_in_front_do_not_count(tmp_path, order):
    kernel = np.arange(1, 10, dtype=">f4").reshape(1, 1, 3, 3)
    np.save(tmp_path / "k.npy", np.asarray(kernel, order=order))
    np.testing.assert_allclose(read_kernel(tmp_path / "k.npy"), kernel[0, 0] / 45)


def test_other_kinds_are_called_by_their_names(tmp_path):
    Image.new("L", (21, 21), 9).save(tmp_path / "k.png")
    np.savez(tmp_path / "k.npz", np.ones((3, 3)))
    (tmp_path / "new.mat").write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"
    )
    (tmp_path / "empty.mat").write_bytes(b"")
    for name, reason in {"k.png": "a picture", "k.npz": "an archive", "new.mat": "'-v7'", "empty.mat": "empty"}.items():
        with pytest.raises(DataError, match=rf"{name}: not a .npy file or a .mat file.*{reason}"):
            read_kernel(tmp_path / name)


@pytest.mark.parametrize("values", [np.full((3, 3), 1e308), np.full((3, 3), np.inf)])
def test_a_sum_that_overflows_is_refused(tmp_path, values):
    np.save(tmp_path / "k.npy", values)
    with pytest.raises(DataError, match="finite, positive sum"):
        read_kernel(tmp_path / "k.npy")
