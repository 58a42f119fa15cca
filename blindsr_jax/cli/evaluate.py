"""``blindsr evaluate``: score a model by a protocol on test sets, with a report for each."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import pathlib
import shlex
import sys
import typing

import blindsr_jax
from blindsr_jax.cli.arguments import (
    Choices,
    Commands,
    add_back_projection,
    add_command,
    add_model,
    open_beside,
    open_model,
    positive,
)
from blindsr_jax.errors import DataError, UsageError

if typing.TYPE_CHECKING:
    from blindsr_jax.evaluation.methods import Methods
    from blindsr_jax.evaluation.protocols import Protocol
    from blindsr_jax.inference.restorer import Restorer


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    command = add_command(commands, "evaluate", run, "Score a model on folders of high-resolution images.")
    add_model(command)
    add_back_projection(command)
    command.add_argument(
        "--protocol",
        choices=Choices(_protocol_names),
        default="gaussian8",
        metavar="NAME",
        help="where LR images come from: %(choices)s; default: gaussian8",
    )
    command.add_argument(
        "--data", nargs="+", type=pathlib.Path, required=True, help="folders of HR images; for div2krk, of DIV2KRK"
    )
    command.add_argument(
        "--kernel",
        nargs="+",
        choices=Choices(_kernel_choices),
        default=["estimated"],
        metavar="WHICH",
        help="what the image is restored with, the model's estimate, the true kernel or none (Dirac): %(choices)s; "
        "several to compare",
    )
    command.add_argument("--sweep", type=positive, default=0, metavar="T", help="also score 1, 2 ... T unfolded steps")
    command.add_argument(
        "--kernels", nargs="+", type=pathlib.Path, default=[], help="s_fold_circular: blur kernels, .npy or .mat files"
    )
    command.add_argument(
        "--flip-kernels", action="store_true", help="flip both axes of convolution kernels, such as USRNet's"
    )
    command.add_argument(
        "--one-kernel-per-image",
        action="store_true",
        help="s_fold_circular: blur each image by one kernel in turn, instead of by every kernel",
    )
    command.add_argument(
        "--beside", nargs="+", default=[], metavar="MODEL", help="other models to score on the same LR images"
    )
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="folder for the reports")
    command.add_argument("--overwrite", action="store_true", help="start again, not resume, or replace a report")


def _protocol_names() -> list[str]:
    from blindsr_jax.evaluation.protocols import PROTOCOLS, S_FOLD_CIRCULAR

    return [*PROTOCOLS, S_FOLD_CIRCULAR]


def _kernel_choices() -> tuple[str, ...]:
    from blindsr_jax.evaluation.methods import KernelChoice

    return typing.get_args(KernelChoice)


def run(arguments: argparse.Namespace) -> int:
    """``blindsr evaluate``: a protocol on test sets; a report for each, beside bicubic and the papers."""
    from blindsr_jax.evaluation.candidates import candidates_of
    from blindsr_jax.evaluation.methods import Methods

    logging.basicConfig(format="blindsr: %(message)s")
    model = open_model(arguments)
    methods = Methods(
        tuple(arguments.kernel),
        arguments.iterations,
        arguments.sweep,
        arguments.self_ensemble,
        arguments.back_project,
    )
    beside = open_beside(arguments.beside, model.scale, arguments.sigma)
    protocol = _protocol_of(arguments, model.scale)
    candidates_of(model, methods, _name(arguments), beside, protocol)  # raises if they cannot be compared
    names = [folder.resolve().name for folder in arguments.data]
    if len(set(names)) < len(names):
        raise UsageError(f"two folders of the same name ({', '.join(names)}): evaluate them into different places")
    complete = True
    for name, folder in zip(names, arguments.data):
        target = arguments.output / name if len(names) > 1 else arguments.output
        try:
            complete &= _evaluate_folder(arguments, model, beside, protocol, methods, folder, target)
        except DataError as error:
            if len(names) == 1:
                raise
            print(f"blindsr: {error}", file=sys.stderr)
            complete = False
    return 0 if complete else 1


def _command(arguments: argparse.Namespace, data: str) -> str:
    """The command that makes a report again, without the folders of this machine."""
    chosen = {"--sweep": arguments.sweep, "--iterations": arguments.iterations, "--scale": arguments.scale}
    chosen |= {"--back-project": arguments.back_project}
    chosen |= {"--sigma": arguments.sigma, "--kernel-window": arguments.kernel_window, "--seconds": arguments.seconds}
    words = ["blindsr", "evaluate", "--model", _name(arguments), "--protocol", arguments.protocol, "--data", data]
    words += [word for option, value in chosen.items() if value for word in (option, str(value))]
    words += ["--self-ensemble"] if arguments.self_ensemble else []
    words += ["--kernel", *arguments.kernel] if arguments.kernel != ["estimated"] else []
    words += ["--beside", *(pathlib.Path(name).name for name in arguments.beside)] if arguments.beside else []
    return shlex.join(words)


def _name(arguments: argparse.Namespace) -> str:
    """The model's name in the report, with its precision, so that it can be compared with itself in float32."""
    from blindsr_jax.inference.loading import name_in_reports

    reduced = "" if arguments.precision == "float32" else f" ({arguments.precision})"
    return name_in_reports(arguments.model) + reduced


def _protocol_of(arguments: argparse.Namespace, scale: int) -> Protocol:
    from blindsr_jax.evaluation.protocols import PROTOCOLS, S_FOLD_CIRCULAR, s_fold_circular
    from blindsr_jax.images.kernel_arrays import read_kernels

    if arguments.protocol != S_FOLD_CIRCULAR:
        if arguments.kernels or arguments.flip_kernels or arguments.one_kernel_per_image:
            raise UsageError(f"--kernels: protocol {arguments.protocol} has its own; {S_FOLD_CIRCULAR} takes them")
        return PROTOCOLS[arguments.protocol](scale)
    if not arguments.kernels:
        raise UsageError(f"protocol {S_FOLD_CIRCULAR} wants kernels: --kernels FILE.npy or FILE.mat")
    kernels = {}
    for path in arguments.kernels:
        members = read_kernels(path)
        for i, kernel in enumerate(members, 1):
            label = f"{path.stem} {i}" if len(members) > 1 else path.stem
            kernels[label] = kernel[::-1, ::-1] if arguments.flip_kernels else kernel
    return s_fold_circular(scale, kernels, one_kernel_per_image=arguments.one_kernel_per_image)


def _evaluate_folder(
    arguments: argparse.Namespace,
    model: Restorer,
    beside: dict[str, Restorer],
    protocol: Protocol,
    methods: Methods,
    folder: pathlib.Path,
    target: pathlib.Path,
) -> bool:
    """Evaluate one folder and write its report; return whether all files were usable."""
    from blindsr_jax.evaluation.machine import machine
    from blindsr_jax.evaluation.methods import BLIND
    from blindsr_jax.evaluation.report import headline, summarise, tables, write_report
    from blindsr_jax.evaluation.resume_log import ResumeLog
    from blindsr_jax.evaluation.run import evaluate as run_protocol
    from blindsr_jax.evaluation.samples import open_tests

    name = folder.resolve().name
    tests = open_tests(protocol, folder)
    question = {
        "version of blindsr_jax": blindsr_jax.__version__,
        "model": model.fingerprint,
        "models beside": {other: others.fingerprint for other, others in beside.items()},
        "protocol": protocol.fingerprint,
        "methods": dataclasses.asdict(methods),
        "data": name,
    }
    resume_log = ResumeLog(target, question, overwrite=arguments.overwrite)
    if len(resume_log):
        print(f"{target}: going on after {len(resume_log)} of {len(tests.names)} images (--overwrite starts anew)")
    failures: list[str] = []
    label = _name(arguments)
    rows = run_protocol(
        model,
        tests,
        methods,
        beside=beside,
        name=label if beside else BLIND,
        failures=failures,
        resume_log=resume_log,
        bar=name,
    )
    unusable = len(failures) + len(tests.left_out)
    label += "+ (self-ensemble)" if methods.self_ensemble else ""
    label += f" ({methods.back_project} back-projections)" if methods.back_project else ""
    facts = {"model": label, "parameters": model.parameters, "data": name, "unreadable": unusable}
    facts |= machine()
    facts |= {"about": protocol.about, "version": blindsr_jax.__version__, "command": _command(arguments, name)}
    summary = summarise(rows, protocol=protocol.name, scale=protocol.scale, **facts)
    write_report(target, rows, summary)
    print(f"{name}, {headline(summary)}; see {target / 'report.md'}")
    for table in tables(rows, summary):
        print("\n" + "\n".join(table).strip())
    return unusable == 0
