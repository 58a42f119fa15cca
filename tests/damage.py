"""Random changes of a file's bytes, as disks, networks and attackers make them."""

from __future__ import annotations

import typing

import numpy as np

_NUMBERS = (0, 1, 2, 255, 256, 4096, 20_000, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def damaged(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    """Change a file at one to three places; parts of the other files may come into it."""
    for _ in range(rng.integers(1, 4)):
        change = _CHANGES[rng.integers(len(_CHANGES))]
        data = change(data, rng, others) or b"\0"
    return data


def _flip(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _truncate(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    return data[: rng.integers(len(data))]


def _splice(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    other = others[rng.integers(len(others))]
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def _insert(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    place = rng.integers(len(data) + 1)
    return data[:place] + rng.bytes(rng.integers(1, 65)) + data[place:]


def _remove(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    place = rng.integers(len(data))
    return data[:place] + data[place + rng.integers(1, 65) :]


def _header(data: bytes, rng: np.random.Generator, others: typing.Sequence[bytes]) -> bytes:
    """Replace a number of 16 or 32 bits, in either byte order, near the beginning of the file."""
    length, order = rng.choice([2, 4]), rng.choice(["little", "big"])
    value = int(rng.choice(_NUMBERS)) % 256 ** int(length)
    place = rng.integers(min(len(data), 200))
    return data[:place] + value.to_bytes(int(length), str(order)) + data[place + length :]


_CHANGES = (_flip, _truncate, _splice, _insert, _remove, _header, _header)
