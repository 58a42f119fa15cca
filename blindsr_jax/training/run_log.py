"""Output of a run in progress: a progress bar, a log, and TensorBoard through clu."""

from __future__ import annotations

import logging
import os
import sys
import typing

import absl.logging
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from blindsr_jax.data.tensorflow import import_tensorflow
from blindsr_jax.hosts import is_first

if typing.TYPE_CHECKING:
    from clu import metric_writers


def setup_logging() -> None:
    """Send this package's messages and clu's metrics to stderr; of libraries and later processes, only warnings."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("blindsr_jax").setLevel(logging.INFO if is_first() else logging.WARNING)
    absl.logging.set_verbosity(absl.logging.INFO)
    absl_logger = absl.logging.get_absl_logger()
    absl_logger.addFilter(_worth_reading)
    absl_logger.propagate = False
    absl_logger.handlers = [logging.StreamHandler(sys.stderr)]


def _worth_reading(record: logging.LogRecord) -> bool:
    """Keep metrics and warnings. Drop orbax's messages, because its background errors are raised as exceptions."""
    if f"{os.sep}orbax{os.sep}" in record.pathname:
        return False
    if record.levelno >= logging.WARNING:
        return True
    return f"{os.sep}clu{os.sep}" in record.pathname and not _repeats(record.getMessage())


def _repeats(message: str) -> bool:
    """Whether a message of clu repeats the config, which is in the workdir, or announces a TensorBoard image."""
    return message.startswith("[Hyperparameters]") or "Got images:" in message


def _metric_writer(folder: str) -> metric_writers.MetricWriter:
    """clu's writer to the log and to TensorBoard files in a folder. It writes nothing except on the first process."""
    import_tensorflow()
    from clu import metric_writers

    return metric_writers.create_default_writer(folder) if is_first() else metric_writers.MultiWriter([])


class RunLog:
    """Progress bar and metric writers of one run, silent except on the first process. Use it as a context manager.

    Args:
      workdir: TensorBoard files are written to its folder ``tensorboard``.
      start: steps already done.
      steps: total number of steps.
      config: settings to record as hyper-parameters.
    """

    def __init__(self, workdir: str | os.PathLike, start: int, steps: int, config: dict[str, typing.Any]):
        self._writer = _metric_writer(os.path.join(workdir, "tensorboard"))
        self._writer.write_hparams(config)
        interactive = sys.stderr.isatty()
        self._bar = tqdm(
            initial=start,
            total=steps,
            desc="training",
            unit="step",
            disable=not is_first(),
            mininterval=0.5 if interactive else 15,
            dynamic_ncols=interactive,
        )
        self._compiling = True
        self._since: list[dict[str, float]] = []
        self._redirect = logging_redirect_tqdm([logging.getLogger(), absl.logging.get_absl_logger()])

    def __enter__(self) -> RunLog:
        self._redirect.__enter__()
        return self

    def __exit__(self, *exc: typing.Any) -> None:
        self._bar.close()
        self._writer.close()
        self._redirect.__exit__(*exc)

    def step(self, metrics: dict[str, float] | None) -> None:
        """Count one more step, and keep the metrics of the latest finished step, if any, for ``training``."""
        if metrics:
            self._since.append(metrics)
            self._bar.set_postfix(loss=f"{metrics['loss']:.4f}", refresh=False)
        if self._compiling:
            self._bar.unpause()  # the first step includes compilation, so its time must not enter the rate
            self._compiling = False
        self._bar.update()

    def back_to(self, step: int) -> None:
        """Go back to a step after a rollback, and drop the metrics of the steps that will be repeated."""
        self._since.clear()
        self._bar.n = step
        self._bar.refresh()

    def training(self, step: int) -> None:
        """Write the means of the metrics since the last call, and the number of skipped updates if there were any."""
        if not self._since:
            return
        last = self._since[-1]
        names = [name for name in last if not name.startswith("bad_")]
        values = {name: float(np.mean([m[name] for m in self._since if name in m])) for name in names}  # stages differ
        values |= {name: last[name] for name in last if name.startswith("bad_") and last[name]}
        self.scalars(step, {f"train/{name}": value for name, value in values.items()})
        self._since.clear()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write scalars to the log and to TensorBoard."""
        self._writer.write_scalars(step, {name: float(value) for name, value in values.items()})

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a uint8 [H, W, 3] picture to TensorBoard."""
        self._writer.write_images(step, {name: picture[None]})

    def flush(self) -> None:
        """Wait until everything is on disk."""
        self._writer.flush()
