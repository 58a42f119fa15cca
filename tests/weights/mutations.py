"""Damaged weight files from reproducible random mutations, loaded one by one in a separate process.

python -m tests.weights.mutations SEED COUNT

prints as JSON how many official checkpoints and bundles were loaded or refused, the longest answer and its file, and
the peak memory above that of loading each sound file. Changes go into the bytes of a file, into the pickle of a
checkpoint behind the zip's checksums, and into the description and the header of a bundle, whose own checksum is then
left out as in files of earlier versions.
"""

from __future__ import annotations

import copy
import faulthandler
import io
import json
import os
import pathlib
import struct
import sys
import tempfile
import typing
import zipfile

import jax
import numpy as np

from blindsr_jax.inference.loading import bundle_named
from blindsr_jax.weights.bundle import save_bundle
from tests.damage import damaged
from tests.reading import read_each

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
OPENED = "blindsr_jax.opened"  # a file that only code of a checkpoint would make
_VALUES = (None, True, -1, 0, 1, 2, 3, 255, 10**6, 2**31, 2**63, 1e308, "", "x", "danv1", "F64", [], {}, [1] * 300)
_CALLS = (
    b"cos\nsystem\n(S'touch blindsr_jax.opened'\ntR.",
    b'cbuiltins\neval\n(S\'open("blindsr_jax.opened", "w")\'\ntR.',
)


def originals(folder: pathlib.Path) -> dict[str, list[bytes]]:
    """Sound files by their extensions: a checkpoint and a bundle of each network with golden weights."""
    files: dict[str, list[bytes]] = {".pth": [], ".safetensors": []}
    for path in sorted(GOLDEN.glob("*.pth")):
        bundle = folder / f"{path.stem}.safetensors"
        save_bundle(bundle, bundle_named(path))
        bundle_named(bundle)
        files[".pth"].append(path.read_bytes())
        files[".safetensors"].append(bundle.read_bytes())
    return files


def mutated(rng: np.random.Generator, files: dict[str, list[bytes]]) -> tuple[str, bytes]:
    """The extension and the bytes of a damaged file."""
    suffix = str(rng.choice(list(files)))
    data = files[suffix][rng.integers(len(files[suffix]))]
    if rng.random() < 0.3:
        return suffix, damaged(data, rng, files[suffix])
    return suffix, _MENDED[suffix](data, rng)


def _with_pickle(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the pickle of a checkpoint, or put a call into it, and write the zip with its new checksums."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(changed, "w") as target:
        for entry in archive.infolist():
            body = archive.read(entry)
            if entry.filename.endswith("data.pkl"):
                place = rng.integers(2, len(body))
                called = body[:place] + _CALLS[rng.integers(len(_CALLS))] + body[place:]
                body = called if rng.random() < 0.1 else damaged(body, rng, [body])
            target.writestr(entry.filename, body)
    return changed.getvalue()


def _with_description(data: bytes, rng: np.random.Generator) -> bytes:
    """Change values in the description or in the header of a bundle, without its checksum."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["blindsr_jax"])
    del described["sha256"]
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.6:
            _change_value(described, rng)
        else:
            name = str(rng.choice([name for name in header if name != "__metadata__"]))
            _change_value(header[name], rng)
    header["__metadata__"]["blindsr_jax"] = json.dumps(described)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


_MENDED: dict[str, typing.Callable[[bytes, np.random.Generator], bytes]] = {
    ".pth": _with_pickle,
    ".safetensors": _with_description,
}


def _change_value(tree: typing.Any, rng: np.random.Generator) -> None:
    """Replace one value of a JSON tree, at any depth, by another one."""
    places = list(_places(tree))
    if not places:
        return
    parent, key = places[rng.integers(len(places))]
    value = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    if rng.random() < 0.1:
        del parent[key]
    else:
        parent[key] = value


def _places(tree: typing.Any) -> typing.Iterator[tuple[typing.Any, typing.Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield tree, key
        yield from _places(value)


def read_all(seed: int, count: int) -> dict[str, typing.Any]:
    """Load ``count`` files. Fails on anything but finite arrays or a BlindSRError, and on code that ran."""
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        files, rng = originals(pathlib.Path(name)), np.random.default_rng(seed)
        report = read_each(_written(rng, files, count), _load)
        assert not pathlib.Path(OPENED).exists(), "a checkpoint's code ran"
    return report


def _written(
    rng: np.random.Generator, files: dict[str, list[bytes]], count: int
) -> typing.Iterator[tuple[str, str, pathlib.Path]]:
    for i in range(count):
        suffix, data = mutated(rng, files)
        path = pathlib.Path(f"{i}{suffix}")
        path.write_bytes(data)
        yield suffix, str(path), path
        path.unlink()


def _load(name: str, path: pathlib.Path) -> None:
    for leaf in jax.tree.leaves(bundle_named(path).variables):
        assert leaf.dtype == np.float32 and np.isfinite(leaf).all()


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(read_all(int(sys.argv[1]), int(sys.argv[2]))))
