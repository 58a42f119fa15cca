"""``blindsr evaluate``: a protocol on test sets, a report for each."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import pathlib
import sys
import typing

import blindsr_jax
from blindsr_jax.cli.arguments import Commands, add_command, add_model, open_model, positive
from blindsr_jax.errors import DataError

if typing.TYPE_CHECKING:
    from blindsr_jax.evaluation.protocols import Protocol
    from blindsr_jax.evaluation.run import Methods
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.solver import Pipeline


def add(commands: Commands) -> None:
    """The subcommand's options."""
    command = add_command(commands, "evaluate", run, "Score a model on folders of high-resolution images.")
    add_model(command)
    command.add_argument(
        "--protocol",
        choices=["gaussian8", "gaussian_width", "div2krk", "s_fold_circular"],
        default="gaussian8",
        help="where LR images come from; default: gaussian8",
    )
    command.add_argument(
        "--data", nargs="+", type=pathlib.Path, required=True, help="folders of HR images; of DIV2KRK for div2krk"
    )
    command.add_argument(
        "--kernel",
        nargs="+",
        choices=["estimated", "true", "none"],
        default=["estimated"],
        help="what the image is restored with: the model's estimate, the true kernel, none (Dirac); several to compare",
    )
    command.add_argument("--sweep", type=positive, default=0, metavar="T", help="also score 1, 2 ... T unfolded steps")
    command.add_argument(
        "--kernels", nargs="+", type=pathlib.Path, default=[], help="s_fold_circular: its blurs, .npy or .mat files"
    )
    command.add_argument(
        "--flip-kernels", action="store_true", help="these are convolution kernels, as USRNet's are: flip both axes"
    )
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="folder for the reports")
    command.add_argument("--overwrite", action="store_true", help="start anew instead of going on, or replace a report")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr evaluate``: a protocol on test sets; a report for each, beside bicubic and the papers."""
    from blindsr_jax.evaluation.run import Methods

    logging.basicConfig(format="blindsr: %(message)s")
    model = open_model(arguments)
    methods = Methods(tuple(arguments.kernel), arguments.iterations, arguments.sweep, arguments.self_ensemble)
    methods.check(model)
    protocol = _protocol_of(arguments, model.scale)
    names = [folder.resolve().name for folder in arguments.data]
    if len(set(names)) < len(names):
        raise DataError(f"two folders of the same name ({', '.join(names)}): evaluate them into different places")
    complete = True
    for name, folder in zip(names, arguments.data):
        target = arguments.output / name if len(names) > 1 else arguments.output
        try:
            complete &= _evaluate_folder(arguments, model, protocol, methods, folder, target)
        except DataError as error:
            if len(names) == 1:
                raise
            print(f"blindsr: {error}", file=sys.stderr)
            complete = False
    return 0 if complete else 1


def _protocol_of(arguments: argparse.Namespace, scale: int) -> Protocol:
    from blindsr_jax.data.kernel_arrays import read_kernels
    from blindsr_jax.evaluation.protocols import PROTOCOLS, s_fold_circular

    if arguments.protocol != "s_fold_circular":
        if arguments.kernels or arguments.flip_kernels:
            raise DataError(f"--kernels: protocol {arguments.protocol} has its own; s_fold_circular takes them")
        return PROTOCOLS[arguments.protocol](scale)
    if not arguments.kernels:
        raise DataError("protocol s_fold_circular wants kernels: --kernels FILE.npy or FILE.mat")
    kernels = {}
    for path in arguments.kernels:
        members = read_kernels(path)
        for i, kernel in enumerate(members, 1):
            label = f"{path.stem} {i}" if len(members) > 1 else path.stem
            kernels[label] = kernel[::-1, ::-1] if arguments.flip_kernels else kernel
    return s_fold_circular(scale, kernels)


def _evaluate_folder(
    arguments: argparse.Namespace,
    model: Model | Pipeline,
    protocol: Protocol,
    methods: Methods,
    folder: pathlib.Path,
    target: pathlib.Path,
) -> bool:
    """One report; whether all files could be used."""
    from blindsr_jax.evaluation.journal import Journal
    from blindsr_jax.evaluation.report import beside_published, headline, method_table, summarise, write_report
    from blindsr_jax.evaluation.run import evaluate as run_protocol
    from blindsr_jax.evaluation.trials import open_tests

    name = folder.resolve().name
    tests = open_tests(protocol, folder)
    question = {
        "version of blindsr_jax": blindsr_jax.__version__,
        "model": model.fingerprint,
        "protocol": dataclasses.asdict(protocol),
        "methods": dataclasses.asdict(methods),
        "data": name,
    }
    journal = Journal(target, question, overwrite=arguments.overwrite)
    if len(journal):
        print(f"{target}: going on after {len(journal)} of {len(tests.names)} images (--overwrite starts anew)")
    failures: list[str] = []
    rows = run_protocol(model, tests, methods, failures=failures, journal=journal, bar=name)
    unusable = len(failures) + len(tests.left_out)
    label = pathlib.Path(arguments.model).name + ("+ (self-ensemble)" if methods.self_ensemble else "")
    facts = {"model": label, "parameters": model.parameters, "data": name, "unreadable": unusable}
    summary = summarise(rows, protocol=protocol.name, scale=protocol.scale, **facts)
    write_report(target, rows, summary)
    print(f"{name}, {headline(summary)}; see {target / 'report.md'}")
    tables = [method_table(rows) if "methods" in summary else [], beside_published(rows, summary)]
    for table in filter(None, tables):
        print("\n" + "\n".join(table).strip())
    return unusable == 0
