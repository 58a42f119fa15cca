"""Damaged image files from reproducible random mutations, read one by one in a separate process.

python -m tests.images.mutations SEED COUNT

prints as JSON how many files of each format were read or refused, the longest time for one file, and the peak memory. A
file that takes longer than ``PATIENCE`` seconds ends the process.
"""

from __future__ import annotations

import collections
import faulthandler
import functools
import json
import os
import pathlib
import resource
import struct
import sys
import time
import zlib

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.images.opening import open_image
from tests.images.input_kinds import KINDS, Written

PATIENCE = 30
_NUMBERS = (0, 1, 2, 255, 256, 4096, 20_000, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
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
    for _ in range(rng.integers(1, 4)):
        change = _CHANGES[rng.integers(len(_CHANGES))]
        data = change(data, rng) or b"\0"
    if data.startswith(_SIGNATURE) and rng.random() < 0.7:
        data = _with_checksums(data)
    return name, data


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    other = originals()[rng.integers(len(originals()))][1]
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    place = rng.integers(len(data) + 1)
    return data[:place] + rng.bytes(rng.integers(1, 65)) + data[place:]


def _remove(data: bytes, rng: np.random.Generator) -> bytes:
    place = rng.integers(len(data))
    return data[:place] + data[place + rng.integers(1, 65) :]


def _header(data: bytes, rng: np.random.Generator) -> bytes:
    """Replace a number of 16 or 32 bits, in either byte order, near the beginning of the file."""
    length, order = rng.choice([2, 4]), rng.choice(["little", "big"])
    value = int(rng.choice(_NUMBERS)) % 256 ** int(length)
    place = rng.integers(min(len(data), 200))
    return data[:place] + value.to_bytes(int(length), str(order)) + data[place + length :]


_CHANGES = (_flip, _truncate, _splice, _insert, _remove, _header, _header)


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


def read_all(seed: int, count: int) -> dict[str, object]:
    """Read ``count`` files. Fails on anything but a whole picture or a DataError."""
    rng, counts, slowest = np.random.default_rng(seed), collections.Counter(), 0.0
    for i in range(count):
        name, data = mutated(rng)
        ending = os.path.splitext(name)[1] or ".png"
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        start = time.perf_counter()
        try:
            image = open_image(data, name=f"file {i}")
            pixels = image.decode()
        except DataError as error:
            assert str(error).startswith(f"file {i}: ") and len(str(error)) < 400
            counts[f"{ending} refused"] += 1
        else:
            assert pixels.shape[:2] == image.size and pixels.shape[2] in (1, 2, 3, 4)
            assert pixels.dtype in (np.uint8, np.uint16)
            counts[f"{ending} whole"] += 1
        slowest = max(slowest, time.perf_counter() - start)
    faulthandler.cancel_dump_traceback_later()
    return {"counts": counts, "slowest": round(slowest, 2), "peak_mib": _peak_mib()}


def _peak_mib() -> int:
    """Peak memory of this process. On Linux getrusage would include the memory of the parent before exec."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(read_all(int(sys.argv[1]), int(sys.argv[2]))))
