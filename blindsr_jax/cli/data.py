"""``blindsr data``: make and check shards of sharp sub-images for training."""

from __future__ import annotations

import argparse
import pathlib
import sys
import typing

from blindsr_jax.cli.arguments import Commands, add_command, positive

if typing.TYPE_CHECKING:
    from blindsr_jax.data.shard_writing import Prepared

_PREPARE = "Cut photographs into sub-images and write them as shards, which training reads at random."
_DATA = "folder of photographs; for div2k, the data_dir that tensorflow-datasets downloads to"
_SMALLEST = "keep whole photographs smaller than a sub-image if both sides have N pixels; default: leave them out"
_ENCODING = "png, or raw pixels, which take twice the space but need no decoding; default: png"


def add(commands: Commands) -> None:
    """Add the subcommand and its actions."""
    text = "Make and check shards of training data, for machines that take more patches than image files give."
    actions = commands.add_parser("data", help=text, description=text).add_subparsers(required=True, metavar="ACTION")

    command = add_command(actions, "prepare", prepare, _PREPARE, in_main_thread=True)
    command.add_argument("--source", choices=["folder", "div2k"], required=True)
    command.add_argument("--out", type=pathlib.Path, required=True, help="folder of shards; interrupted ones resume")
    command.add_argument("--data", default="", metavar="DIR", help=_DATA)
    command.add_argument(
        "--split", choices=["train", "validation"], default="train", help="div2k's split; default: train"
    )
    command.add_argument("--size", type=positive, default=480, help="side of a sub-image; default: 480")
    command.add_argument("--step", type=positive, help="distance between sub-images; default: half the size")
    command.add_argument("--smallest", type=positive, metavar="N", help=_SMALLEST)
    command.add_argument("--encoding", choices=["png", "raw"], default="png", help=_ENCODING)

    command = add_command(actions, "verify", verify, "Read all shards of a folder and compare their SHA-256.")
    command.add_argument("folder", type=pathlib.Path, metavar="DIR")


def prepare(arguments: argparse.Namespace) -> int:
    """``blindsr data prepare``: write a folder of shards, and name the photographs that cannot be read."""
    from blindsr_jax.data.shard_writing import prepare_shards
    from blindsr_jax.data.subimages import Cutting

    step, smallest = arguments.step or -(-arguments.size // 2), arguments.smallest or arguments.size
    cutting = Cutting(arguments.size, step, smallest, arguments.encoding)
    origin = {"kind": arguments.source, "data": arguments.data, "split": arguments.split}
    prepared = prepare_shards(arguments.out, **origin, cutting=cutting)
    for line in prepared.damaged:
        print(f"blindsr: {line}", file=sys.stderr)
    print(_described(prepared, arguments.out))
    return 1 if prepared.damaged else 0


def _described(prepared: Prepared, out: pathlib.Path) -> str:
    shards, settings = prepared.manifest.written, prepared.manifest.settings
    used = settings["photographs"] - len(prepared.small) - sum(len(shard.damaged) for shard in shards)
    left_out = len(prepared.small) + len(prepared.damaged)
    return (
        f"{out}: {sum(shard.records for shard in shards)} sub-images of {used} photographs in {len(shards)} shards, "
        f"{sum(shard.bytes for shard in shards) / 1e9:.2f} GB; {left_out} photographs left out\n"
        f"train from it with --config.data.source=shards --config.data.root={out}"
    )


def verify(arguments: argparse.Namespace) -> int:
    """``blindsr data verify``: check that shards are as they were written, and name those that are not."""
    from blindsr_jax.data.shard_manifest import read_manifest, verify_shards

    problems = verify_shards(arguments.folder)
    for line in problems:
        print(f"blindsr: {line}", file=sys.stderr)
    if problems:
        return 1
    print(f"{arguments.folder}: all {len(read_manifest(arguments.folder).shards)} shards are as they were written")
    return 0
