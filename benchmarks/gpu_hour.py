"""Measure in nine minutes of one GPU what the documents leave open for accelerators:

  python -m benchmarks.gpu_hour --output runs/gpu_hour.json

Each part is a suite of ``benchmarks.run`` in a process of its own, the most wanted first. The result is written after
each, and the same command goes on with the parts that are missing, so more minutes or a broken run lose nothing but
the part in progress. PyTorch's side takes part if ``--peer-python`` has PyTorch with CUDA. ``--rehearse`` runs small
sizes of everything, on a CPU too.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import typing

from benchmarks.cases import Row
from benchmarks.machine import describe_host
from benchmarks.report import write
from benchmarks.serving import without_folders
from benchmarks.workers import ROOT

ABOUT = (
    "What one GPU does in nine minutes; each part is a suite of `benchmarks.run`, whose documentation says what it "
    "measures. `patches a second` below: consumed by the best form of each measured training step, and supplied by the "
    "pipeline."
)
_LEAST_S = 20.0  # no part is begun with less time left
_ENOUGH_S = 5.0  # to end a process and to write
_LIKELY_BEST = "compiled, channels last"
_SMALL = {
    "danv1": ["blocks=1", "features=4", "estimator_features=4", "estimator_blocks=1", "iterations=2"],
    "danv2": ["groups=1", "blocks=1", "features=4", "estimator_features=4", "estimator_blocks=1", "iterations=2"],
    "dssr": ["blocks=1", "features=4", "refine_blocks=1", "iterations=2"],
}


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the hour.

    Attributes:
      title: its name in the result.
      words: arguments of ``benchmarks.run``.
      small: further arguments of a rehearsal.
      precisions: if the peers take part, the precisions to compare, see ``comparison.TOLERANCE``.
      at_least: seconds left without which it is not begun.
    """

    title: str
    words: tuple[str, ...]
    small: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    at_least: float = _LEAST_S


def _beside_peers(kind: str, model: str, batch: int, side: int, *precisions: str) -> Part:
    words = ("--suite", kind, "--model", model, "--sizes", str(side), "--batch", str(batch), "--keep-compiled")
    small = ("--sizes", "8", "--batch", "2", "--repeats", "1", "--our-forms", "jit", "--network", *_SMALL[model])
    title = f"{kind}, {model}, {batch} of {side}x{side}, {' and '.join(precisions)}"
    return Part(title, words, small, precisions, at_least=60.0)


PARTS = (
    Part(
        "update of danv2_short_x4",
        ("--suite", "update", "--config", "danv2_short_x4"),
        ("--sizes", "16", "--batch", "2", "--repeats", "2", "--network", *_SMALL["danv2"]),
    ),
    _beside_peers("training", "danv1", 64, 64, "tf32", "bf16"),
    _beside_peers("inference", "danv1", 1, 256, "tf32", "bf16"),
    Part("precision", ("--suite", "precision"), ("--sizes", "64", "--repeats", "1")),
    Part(
        "input",
        ("--suite", "input", "--sizes", "256", "--batch", "64", "--repeats", "10"),
        ("--sizes", "32", "--batch", "4", "--repeats", "2", "--network", *_SMALL["danv1"]),
    ),
    _beside_peers("training", "danv2", 64, 64, "bf16"),
    _beside_peers("training", "dssr", 8, 64, "bf16"),
    _beside_peers("inference", "danv2", 1, 256, "bf16"),
    _beside_peers("inference", "dssr", 1, 256, "bf16"),
    Part(
        "update of dan_x4",
        ("--suite", "update", "--config", "dan_x4"),
        ("--sizes", "16", "--batch", "2", "--repeats", "2", "--network", *_SMALL["danv1"]),
    ),
    Part(
        "degradation",
        ("--suite", "degradation"),
        ("--sizes", "48", "--batch", "2", "--repeats", "1", "--network", *_SMALL["danv1"]),
    ),
    _beside_peers("training", "danv1", 64, 64, "float32"),
    _beside_peers("inference", "danv1", 1, 256, "float32"),
    _beside_peers("training", "danv1", 8, 64, "tf32", "bf16"),
    Part(
        "memory of restoring", ("--suite", "memory"), ("--model", "dssr", "--sizes", "8", "--network", *_SMALL["dssr"])
    ),
    Part(
        "roofline, danv1",
        ("--suite", "roofline", "--sizes", "256", "64", "--batch", "1", "64"),
        ("--sizes", "8", "8", "--batch", "1", "1", "--repeats", "1", "--network", *_SMALL["danv1"]),
    ),
)
Measure = typing.Callable[[list[str], float], Row]


def main(argv: list[str] | None = None) -> int:
    """Measure what fits into the time; 1 if there is no GPU and this is no rehearsal."""
    options = parser().parse_args(argv)
    end = time.monotonic() + options.seconds
    device = _answer(sys.executable, "import jax; print(jax.default_backend(), jax.devices()[0].device_kind, sep=': ')")
    if not device.startswith("gpu") and not options.rehearse:
        print(f"gpu_hour: there is no GPU here ({device}); --rehearse runs small sizes anywhere", file=sys.stderr)
        return 1
    cuda = _answer(options.peer_python, "import torch; print('CUDA', torch.cuda.is_available())")
    why_alone = "" if cuda == "CUDA True" else f"Ours alone: no PyTorch with CUDA ({cuda})."
    result = {
        "suite": "gpu_hour",
        "about": ABOUT,
        "date": datetime.date.today().isoformat(),
        "rehearsal": options.rehearse,
        "dtype": "of each part",
        "host": describe_host() | {"device": device},
        "notes": list(filter(None, ["A REHEARSAL: small sizes." if options.rehearse else "", why_alone])),
    }
    beside = options.peer_python if not why_alone else None
    print(measure_all(PARTS, result, options.output, end, in_a_process, rehearse=options.rehearse, beside=beside))
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all options."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--seconds", type=float, default=540, help="time for everything; default: 540")
    command.add_argument("--rehearse", action="store_true", help="small sizes of everything, on any device")
    command.add_argument("--peer-python", default=sys.executable, help="an interpreter with PyTorch and NumPy")
    command.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/gpu_hour.json"))
    return command


def measure_all(
    parts: typing.Sequence[Part],
    result: Row,
    path: pathlib.Path,
    end: float,
    measure: Measure,
    *,
    rehearse: bool = False,
    beside: str | None = None,
) -> str:
    """Measure the parts that a result at ``path`` does not hold yet, and write it after each of them.

    Args:
      parts: the parts, the most wanted first.
      result: the head of the result.
      path: a .json file; its tables go beside it (.md).
      end: the time of ``time.monotonic`` at which the last part must have ended.
      measure: maps arguments of ``benchmarks.run`` and a limit in seconds to the suite's result; raises RuntimeError.
      rehearse: whether to measure small sizes.
      beside: an interpreter with PyTorch and CUDA; None to leave PyTorch's side out.

    Returns:
      The tables.
    """
    before = json.loads(path.read_text()) if path.exists() else {}
    kept = before.get("parts", {}) if before.get("rehearsal") == rehearse else {}
    # A part that failed is tried again, after those that were not tried.
    found = {title: part for title, part in kept.items() if "tables" in part}
    text = ""
    for part in sorted(parts, key=lambda part: "failed" in kept.get(part.title, {})):
        if part.title not in found:
            found[part.title] = _one(part, end, measure, rehearse, beside)
        text = write(result | {"parts": found, "tables": _tables(found)}, path)
    return text


def _one(part: Part, end: float, measure: Measure, rehearse: bool, beside: str | None) -> Row:
    """The result of a part, or the reason why there is none."""
    left = end - time.monotonic() - _ENOUGH_S
    if left < part.at_least:
        return {"skipped": f"{max(0, left):.0f} s were left"}
    print(f"{part.title} ({left:.0f} s left)", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        # At most half of what is left, so that no part takes the time of all others.
        measured = measure(_words(part, rehearse, beside), max(left / 2, part.at_least))
    except RuntimeError as error:
        return {"failed": str(error), "took_s": time.monotonic() - start}
    return measured | {"took_s": time.monotonic() - start}


def _words(part: Part, rehearse: bool, beside: str | None) -> list[str]:
    words = [*part.words, *(part.small if rehearse else ())]
    if part.precisions and not rehearse:  # a CPU has one precision
        words += ["--our-forms", *(_with("jit", precision) for precision in part.precisions)]
    if part.precisions and beside and not rehearse:
        words += ["--peer-python", beside, "--forms", *(_with(_LIKELY_BEST, p) for p in part.precisions)]
    elif part.precisions:
        words += ["--forms"]
    return words


def _with(form: str, precision: str) -> str:
    return form if precision == "float32" else f"{form}, {precision}"


def in_a_process(words: list[str], limit: float) -> Row:
    """Run a suite. Raises RuntimeError with its last words if it fails or takes longer than ``limit`` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.run", *words, "--output", str(output)]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        # A group of its own, so that its workers end with it.
        with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes) as run:
            try:
                _, complaint = run.communicate(timeout=limit)
            except BaseException as error:
                os.killpg(run.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise RuntimeError(f"not done after {limit:.0f} s") from None
                raise
        if run.returncode or not output.exists():
            raise RuntimeError(_last_line(complaint) or f"ended with {run.returncode}")
        return json.loads(output.read_text())


def _answer(python: str, program: str) -> str:
    """Run a program and return what it prints, or the last line of its error."""
    try:
        run = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return without_folders(str(error))
    return _last_line(run.stdout) if run.returncode == 0 else _last_line(run.stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return without_folders(lines[-1])[:300] if lines else ""


def _tables(found: dict[str, Row]) -> dict[str, list[Row]]:
    """One table of the parts, one of patches, and those of all parts."""
    outcomes = [
        {
            "part": title,
            "outcome": "measured"
            if "tables" in part
            else f"skipped: {part['skipped']}"
            if "skipped" in part
            else f"failed: {part['failed']}",
            "took_s": part.get("took_s"),
        }
        for title, part in found.items()
    ]
    tables = {"Parts": outcomes, "Patches a second": _patches(found)}
    for title, part in found.items():
        tables |= {f"{title}: {name}": rows for name, rows in part.get("tables", {}).items()}
    return tables


def _patches(found: dict[str, Row]) -> list[Row]:
    """Patches a second: what training steps consume, and what the pipeline supplies."""
    rows = []
    for title, part in found.items():
        tables = part.get("tables", {})
        if part.get("suite") == "training":
            ours = [row for row in tables["Times"] if row["by"] == "blindsr_jax"]
            best = min(ours, key=lambda row: row["median_s"])
            batch = int(best["input"].split()[0])
            rows.append({"what": f"{title}: {best['form']}", "consumed": batch / best["median_s"]})
        for row in tables.get("Update", ()):
            rows.append({"what": title, "consumed": row["consumed"], "supplied": row.get("supplied")})
        for row in tables.get("Patches", ()):
            what = f"{row['form']}, {row['input']}, {row['worker_threads']} threads"
            rows.append({"what": what, "supplied": row["patches_per_second"]})
    return rows


if __name__ == "__main__":
    sys.exit(main())
