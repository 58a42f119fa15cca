"""Train and evaluate: ``python -m blindsr_jax.main --config configs/dan_x4.py --workdir runs/dan_x4``.

For several hosts, run the same command on each: see ``docs/distributed.md``.

The project's configs can be given by name from any folder: ``--config dan_x4``.

Any setting can be changed on the command line: ``--config.data.batch_size=16``. All settings are listed in
``blindsr_jax/config/defaults.py``.
"""

from __future__ import annotations

import os
import pathlib
import re
import sys

from blindsr_jax.errors import BlindSRError, Interrupted
from blindsr_jax.lazy import how_to_install

try:
    from absl import flags
    from ml_collections import config_flags
except ModuleNotFoundError as missing:
    sys.exit(f"blindsr_jax: training needs {missing.name}: {how_to_install('train')}")

from blindsr_jax import config as config_lib

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, or the name of one in configs/.", lock_config=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for checkpoints, logs, reports and pictures.")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "evaluate"],
    "train: train or resume, then evaluate; evaluate: evaluate the best checkpoint.",
)

_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    os.environ.get("JAX_COORDINATOR_ADDRESS"),
    "Several hosts: HOST:PORT of process 0; or JAX_COORDINATOR_ADDRESS. Not needed where JAX detects the cluster "
    "(SLURM, Cloud TPU, Kubernetes, Open MPI).",
)
_PROCESSES = flags.DEFINE_integer(
    "processes",
    os.environ.get("JAX_NUM_PROCESSES"),
    "Several hosts: number of processes; or JAX_NUM_PROCESSES. 1: run alone, even where JAX detects a cluster.",
    lower_bound=1,
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id",
    os.environ.get("JAX_PROCESS_ID"),
    "Several hosts: index of this process, from 0; or JAX_PROCESS_ID.",
    lower_bound=0,
)
_JOIN_TIMEOUT = flags.DEFINE_float("join_timeout", 300, "Several hosts: seconds to wait for all to start.", 1)
_LOST_TIMEOUT = flags.DEFINE_integer(
    "lost_timeout", 100, "Several hosts: seconds without a sign of life after which a host counts as lost.", 10
)


def main(argv: list[str]) -> int:
    """Run the command and return its exit code, one of those in ``errors``."""
    if {"--help", "-h"} & set(argv):
        print(__doc__)
        print(flags.FLAGS.main_module_help())
        return 0
    try:
        rest = flags.FLAGS(config_lib.with_found_config(argv))
        if len(rest) > 1:
            raise flags.Error(f"unexpected argument {rest[1]!r}")
        if _CONFIG.value is None or _WORKDIR.value is None:
            raise flags.Error("--config FILE and --workdir DIR are needed")
        config = _CONFIG.value
        config_lib.validate(config)
    except Exception as error:  # absl, ml_collections and config files raise errors of any type
        print(f"blindsr_jax: {_usage_message(error)}", file=sys.stderr)
        return 2
    from blindsr_jax import hosts  # imports JAX, so only after the command line is checked

    try:
        place = _COORDINATOR.value, _PROCESSES.value, _PROCESS_ID.value
        hosts.join(*place, timeout=_JOIN_TIMEOUT.value, lost=_LOST_TIMEOUT.value)
        with hosts.noticing_losses():
            return _run(config, _WORKDIR.value, _MODE.value)
    except BlindSRError as error:
        print(f"blindsr_jax: {error}", file=sys.stderr)
        return error.exit_code if error.together else hosts.leave(error.exit_code)
    except KeyboardInterrupt:
        print("blindsr_jax: interrupted; the newest checkpoint is intact", file=sys.stderr)
        return hosts.leave(Interrupted.exit_code)


def _run(config: config_lib.ConfigDict, workdir: str, mode: str) -> int:
    from blindsr_jax.evaluation.report import headline
    from blindsr_jax.hosts import is_first
    from blindsr_jax.training.results import evaluated_config, write_results
    from blindsr_jax.training.run_log import setup_logging
    from blindsr_jax.training.sharding import use_all_cores

    if mode == "train":
        use_all_cores(config.data.batch_size // config.accumulate)
    setup_logging()
    if mode == "train":
        from blindsr_jax.training.loop import train

        train(config, workdir)
    summary = write_results(evaluated_config(config, workdir), workdir)
    if is_first():
        print(headline(summary))
        names = ["report.md", "panel.png", "model.safetensors", "restored"]
        print(f"{', '.join(name for name in names if pathlib.Path(workdir, name).exists())}: in {workdir}")
    return 0


def _usage_message(error: Exception) -> str:
    text = str(error)
    missing = re.search(r"No such file or directory: '([^']+)'", text)
    if missing:
        names = ", ".join(config_lib.project_configs())
        return f"{missing[1]}: there is no such config file; those of this project are {names}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{text}: run the command from the folder of {error.name}.py, or put that folder on PYTHONPATH"
    if text.startswith("'") and text.endswith("'"):  # ml_collections passes on a KeyError, which quotes its text
        text = text[1:-1].replace("\\n", "\n").replace("\\'", "'")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv))
