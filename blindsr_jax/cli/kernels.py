"""``blindsr kernels``: make, draw and describe pools of blur kernels."""

from __future__ import annotations

import argparse
import functools
import pathlib
import typing

from blindsr_jax.cli.arguments import Choices, Commands, add_command, positive


def _scales() -> tuple[int, ...]:
    from blindsr_jax.degradations.pools import POOL_SIZES

    return tuple(POOL_SIZES)


def add(commands: Commands) -> None:
    """Add the subcommand and its actions."""
    text = "Make, draw and describe pools of blur kernels, which KernelNet is trained on."
    actions = commands.add_parser("kernels", help=text, description=text).add_subparsers(
        required=True, metavar="ACTION"
    )

    command = add_command(
        actions, "build", build, "Draw Gaussians and irregular kernels in KernelNet's ranges of width."
    )
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="pool to write (.npy)")
    command.add_argument("--test", type=pathlib.Path, help="hold out a fifth of the kernels and write it here (.npy)")
    command.add_argument(
        "--scale", type=int, choices=Choices(_scales), default=4, metavar="S", help="%(choices)s; default: 4"
    )
    command.add_argument("--count", type=positive, default=1716, help="total number of kernels; default: 1716")
    command.add_argument("--size", type=positive, help="side in HR pixels, odd; default: 17, 23, 31 for x2, x3, x4")
    kinds = command.add_mutually_exclusive_group()
    kinds.add_argument("--gaussians", action="store_true", help="no irregular kernels")
    kinds.add_argument(
        "--shaken", action="store_true", help="half of them paths of a shaken camera in focus, discs, and sums of both"
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")

    def pool(command: argparse.ArgumentParser) -> None:
        command.add_argument("pool", type=pathlib.Path, metavar="POOL", help=".npy or .mat file of kernels")
        command.add_argument("--size", type=positive, help="side to crop or pad to, odd, for files of mixed sizes")

    command = add_command(actions, "show", show, "Draw the kernels of a pool, side by side.")
    pool(command)
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="picture to write (.png)")
    command.add_argument("--count", type=positive, default=100, help="number of kernels to draw; default: 100")

    command = add_command(actions, "summarise", summarise, "Count and measure the kernels of a pool.")
    pool(command)
    command.add_argument("--train", type=pathlib.Path, help="pool that the fixed Gaussian is fitted to; default: POOL")


def build(arguments: argparse.Namespace) -> int:
    """``blindsr kernels build``: make a pool to train KernelNet on, and one to test it on."""
    from blindsr_jax.cli.pool_files import write_pool
    from blindsr_jax.degradations.pools import kernel_pool, shaken_pool

    sizes = {name: getattr(arguments, name) for name in ("scale", "count", "size", "seed")}
    draw: typing.Callable[..., typing.Any] = shaken_pool if arguments.shaken else kernel_pool
    if arguments.gaussians:
        draw = functools.partial(kernel_pool, irregular=False)
    print("\n".join(write_pool(arguments.output, arguments.test, draw, overwrite=arguments.overwrite, **sizes)))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """``blindsr kernels show``: draw a contact sheet of a pool."""
    from blindsr_jax.cli.pool_files import draw_pool

    print(draw_pool(arguments.pool, arguments.output, count=arguments.count, size=arguments.size))
    return 0


def summarise(arguments: argparse.Namespace) -> int:
    """``blindsr kernels summarise``: describe a pool, and the error of the best fixed Gaussian on it."""
    from blindsr_jax.cli.pool_files import summarise_pool

    print("\n".join(summarise_pool(arguments.pool, arguments.train, size=arguments.size)))
    return 0
