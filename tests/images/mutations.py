"""Damaged image files from reproducible random mutations, read one by one in a separate process.

python -m tests.images.mutations SEED COUNT

prints as JSON how many files of each format were read or refused, the longest answer and its file, and the peak memory
above that of reading each sound file. A file that takes longer than ``reading.PATIENCE`` seconds ends the process.
"""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import struct
import sys
import typing
import zlib

import numpy as np

from blindsr_jax.images.opening import open_image
from tests.damage import damaged
from tests.images.input_kinds import KINDS, Written
from tests.reading import read_each

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@functools.cache
def originals() -> list[tuple[str, bytes]]:
    """Name and bytes of a sound file of each kind."""
    found = {kind.make(): kind.name for kind in KINDS if isinstance(kind.outcome, Written)}
    return [(name, data) for data, name in found.items()]


def mutated(rng: np.random.Generator) -> tuple[str, bytes]:
    """Name and bytes of a file with one to three random changes."""
    files = originals()
    name, data = files[rng.integers(len(files))]
    data = damaged(data, rng, [data for _, data in files])
    if data.startswith(_SIGNATURE) and rng.random() < 0.7:
        data = _with_checksums(data)
    return name, data


def _with_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, so that the test reaches the code behind the checksum."""
    result, place = [_SIGNATURE], len(_SIGNATURE)
    while place + 12 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        if place + 12 + length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        result += [data[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place += 12 + length
    return b"".join([*result, data[place:]])


def read_all(seed: int, count: int) -> dict[str, typing.Any]:
    """Read ``count`` files. Fails on anything but a whole picture or a BlindSRError."""
    for name, data in originals():
        open_image(data, name=name, page=1).decode()
    return read_each(_files(np.random.default_rng(seed), count), _read)


def _files(rng: np.random.Generator, count: int) -> typing.Iterator[tuple[str, str, bytes]]:
    for i in range(count):
        name, data = mutated(rng)
        yield os.path.splitext(name)[1] or ".png", f"file {i}", data


def _read(name: str, data: bytes) -> None:
    image = open_image(data, name=name)
    pixels = image.decode()
    assert pixels.shape[:2] == image.size and pixels.shape[2] in (1, 2, 3, 4)
    assert pixels.dtype in (np.uint8, np.uint16)


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(read_all(int(sys.argv[1]), int(sys.argv[2]))))
