"""Kills commands at random moments, and looks at what they leave.

Nothing may be half written under its final name. The same command again must complete the work, and leave nothing else:

    python -m tests.cli.kill_drill --kills 20
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import typing

import numpy as np
from PIL import Image

from blindsr_jax.weights.bundle import load_bundle, save_bundle
from tests.drawn_pictures import draw_pictures
from tests.inference.conftest import tiny_bundle

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of ``blindsr`` that is killed.

    Attributes:
      words: its words; ``OUT`` stands for the place of its output.
      whole: whether a file that it wrote is whole, given the same file of a run that nobody killed.
      again: what the same command says if the output is there already, with exit code 2.
    """

    words: tuple[str, ...]
    whole: typing.Callable[[pathlib.Path, pathlib.Path], bool]
    again: str = "\0"


def same_bytes(path: pathlib.Path, wanted: pathlib.Path) -> bool:
    return path.read_bytes() == wanted.read_bytes()


def is_bundle(path: pathlib.Path, wanted: pathlib.Path) -> bool:
    return bool(load_bundle(path).variables) and same_bytes(path, wanted)


def is_report(path: pathlib.Path, wanted: pathlib.Path) -> bool:
    """Seconds differ, so texts are compared by their lines' number, and pictures by being pictures."""
    if path.suffix == ".json":
        return bool(json.loads(path.read_text()))
    if path.suffix == ".png":
        Image.open(path).load()
        return True
    return path.read_text().count("\n") == wanted.read_text().count("\n")


def is_shard(path: pathlib.Path, wanted: pathlib.Path) -> bool:
    """The manifest grows with each shard."""
    if path.suffix == ".json":
        return bool(json.loads(path.read_text()))
    return path.name == ".lock" or same_bytes(path, wanted)


COMMANDS = {
    "restore": Command(
        ("restore", "large.png", "-o", "OUT/large.png", "--model", "tiny.safetensors", "--tile", "64", "--compare"),
        same_bytes,
    ),
    "convert": Command(
        ("convert", str(ROOT / "tests" / "golden" / "danv1.pth"), "-o", "OUT/danv1.safetensors"), is_bundle, "exists"
    ),
    "evaluate": Command(
        ("evaluate", "--model", "tiny.safetensors", "--protocol", "gaussian8", "--data", "drawn", "-o", "OUT"),
        is_report,
    ),
    "data prepare": Command(
        ("data", "prepare", "--source", "folder", "--data", "photographs", "--out", "OUT", "--size", "48"), is_shard
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--command", choices=COMMANDS, help="this one alone")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        _prepare(place)
        for command in [options.command] if options.command else COMMANDS:
            print(f"{command}: {drill(place, command, options.kills, options.seed)}", flush=True)
    return 0


def _prepare(place: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    save_bundle(place / "tiny.safetensors", tiny_bundle())
    Image.fromarray(rng.integers(0, 256, (260, 340, 3), np.uint8)).save(place / "large.png")
    draw_pictures(place / "drawn", 6)
    (place / "photographs").mkdir()
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8)).save(place / "photographs" / f"{number}.png")


def drill(place: pathlib.Path, name: str, kills: int, seed: int) -> str:
    """Kill a command so often, each time in a new folder, complete it, and return what was seen."""
    command, rng, label = COMMANDS[name], random.Random(seed), name.replace(" ", "_")
    wanted = place / f"{label}_wanted"
    _run(place, command, place / f"{label}_first")  # compiles
    began, seconds = _moments(place, command, wanted)
    seen = {"killed before output": 0, "in the middle": 0, "after the last file": 0}
    for number in range(kills):
        out = place / f"{label}_{number}"
        process = _start(place, command, out)
        if number % 4 == 0:
            time.sleep(rng.uniform(0, began))
        else:
            while process.poll() is None and not _files(out):
                time.sleep(0.0005)
            time.sleep(rng.random() ** 4 * (seconds - began))  # soon more often than late
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left, names = _files(out), _files(wanted)
        seen["killed before output" if not left else "after the last file" if left >= names else "in the middle"] += 1
        _check(command, out, wanted, left)
        code, said = _run(place, command, out)
        assert code == 0 or (code == 2 and command.again in said), f"{name}, kill {number}: {said}"
        assert "Warning" not in said, said
        untold = {path for path in names if path.name not in said}
        assert untold <= _files(out) <= names, f"{name}, kill {number}: {_files(out) ^ names}"
        _check(command, out, wanted, names & _files(out))
    return ", ".join(f"{count} {moment}" for moment, count in seen.items())


def _check(command: Command, out: pathlib.Path, wanted: pathlib.Path, names: typing.Iterable[pathlib.Path]) -> None:
    for path in names:
        if ".partial" not in str(path):
            assert (wanted / path).exists() or path.name == ".lock", f"{path} is no file of this command"
            assert command.whole(out / path, wanted / path), f"{path} is half written"


def _moments(place: pathlib.Path, command: Command, out: pathlib.Path) -> tuple[float, float]:
    """Seconds until the first file, and until the end, of a run that nobody kills."""
    start, began = time.monotonic(), 0.0
    process = _start(place, command, out)
    while process.poll() is None:
        if not began and _files(out):
            began = time.monotonic() - start
        time.sleep(0.0005)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return began, time.monotonic() - start


def _run(place: pathlib.Path, command: Command, out: pathlib.Path) -> tuple[int, str]:
    process = _start(place, command, out)
    said = process.communicate(timeout=300)[0]
    return process.returncode, said


def _start(place: pathlib.Path, command: Command, out: pathlib.Path) -> subprocess.Popen:
    words = [word.replace("OUT", str(out)) for word in command.words]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    environment = inherited | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache"), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-m", "blindsr_jax.cli", *words],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _files(folder: pathlib.Path) -> set[pathlib.Path]:
    """The files in a folder, by their paths in it."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()


if __name__ == "__main__":
    sys.exit(main())
