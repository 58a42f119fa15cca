"""Checkpoints of a run: the newest few and the best one, written in the background, complete or not at all.

On several hosts all processes write, each its share of the arrays, into one folder that all of them see, and process 0
gives the checkpoint its name when all are done. What is stored are whole arrays: they can be read on any number of
processes and devices.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import shutil
import typing

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from blindsr_jax.errors import DataError, HostLost
from blindsr_jax.hosts import all_or_none, is_first
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)
_METRIC = "score"
_GO_ON = "Complete checkpoints there are intact: make room, then run the same command to go on from the newest"


class Checkpoints:
    """The folder ``checkpoints`` of a workdir.

    Use as a context manager: leaving it waits for writes under way, unless another host was lost, without which they
    cannot end. All methods are called by all processes together.

    Args:
      workdir: of the run.
      keep: how many of the newest stay, besides the best by validation score.
      read_only: change nothing, for looking into a run that may be going on.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int = 2, *, read_only: bool = False):
        self._directory = pathlib.Path(workdir).absolute() / "checkpoints"
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(keep),
                checkpoint_managers.BestN(n=1, get_metric_fn=_score, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=_score,
            preservation_policy=policy,
            enable_async_checkpointing=True,
        )
        if read_only:
            options = ocp.CheckpointManagerOptions(
                best_fn=_score, read_only=True, create=False, save_interval_steps=0, enable_async_checkpointing=False
            )
        with _readable_errors(self._directory):
            if is_first() and not read_only:
                _remove_unfinished(self._directory)
            handler = ocp.StandardCheckpointHandler()  # named here, so that what is saved can be listed
            self._manager = ocp.CheckpointManager(self._directory, options=options, item_handlers=handler)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, HostLost):
            return
        with _readable_errors(self._directory):
            self._manager.close()

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """Step of the best validated checkpoint; the newest if none was validated; None if there is none."""
        validated = [step for step in self._manager.all_steps() if self._manager.metrics(step)]
        return max(validated, key=lambda step: _score(self._manager.metrics(step)), default=self.latest_step)

    def save(self, state: TrainState, score: float | None = None) -> None:
        """Starts writing a state under its step; the caller may go on at once, the arrays have been copied.

        Args:
          state: to save.
          score: of the validation at this step, if there was one; the higher, the better.

        Raises:
          DataError: this or the previous save failed, as on a full disk; older checkpoints are intact.
        """
        with all_or_none():
            self._check_room(state)
        metrics = None if score is None else {_METRIC: score}
        with _readable_errors(self._directory):
            self._manager.save(int(state.step), args=ocp.args.StandardSave(state), metrics=metrics, force=True)

    def _check_room(self, state: TrainState) -> None:
        """A full disk is better noticed before writing than by the writers' many threads."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + 2**20
        free = shutil.disk_usage(self._directory).free
        if free < needed:
            raise DataError(
                f"{self._directory}: a checkpoint could not be written, it needs {needed / 1e6:.0f} MB and "
                f"{free / 1e6:.0f} MB are free. {_GO_ON}"
            )

    def wait(self) -> None:
        """Returns when everything is on disk. Raises DataError as ``save``."""
        with _readable_errors(self._directory):
            self._manager.wait_until_finished()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Reads a checkpoint.

        Args:
          step: its step.
          like: a state of the same structure, whose shardings the result takes; it may be abstract.

        Raises:
          DataError: the checkpoint is damaged or of another model.
        """
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        fields = {field.name: getattr(target, field.name) for field in dataclasses.fields(target)}
        try:
            saved = set(self._manager.item_metadata(step))
            new = [name for name in ("rollbacks", "skipped") if name not in saved]  # earlier versions had no rollbacks
            fields = {name: value for name, value in fields.items() if name not in new}
            values = self._manager.restore(step, args=ocp.args.StandardRestore(fields))
            return TrainState(**values, **{name: jnp.zeros_like(values["step"]) for name in new})
        except Exception as error:  # orbax and tensorstore raise many kinds for damaged files
            raise DataError(
                f"{self._directory / str(step)}: this checkpoint cannot be read ({_first_line(error)}); "
                "if it is damaged, delete that folder to go on from the one before"
            ) from error

    def restore_good(self, like: TrainState) -> TrainState | None:
        """The newest state whose last update was finite, or None; checkpoints after it are deleted."""
        self.wait()
        for step in sorted(self._manager.all_steps(), reverse=True):
            state = self.restore(step, like)
            if not int(state.bad_in_a_row):
                return state
            self._delete(step)
        return None

    def _delete(self, step: int) -> None:
        with _readable_errors(self._directory):
            self._manager.delete(step)


def _remove_unfinished(directory: pathlib.Path) -> None:
    """Deletes what a killed run left half written. (Orbax would do it in a thread that may outlive a short command.)"""
    for path in directory.glob("*orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)


def _score(metrics: dict[str, typing.Any]) -> float:
    (score,) = metrics.values()  # runs of earlier versions have it under another name
    return score


class _readable_errors:
    """Turns what goes wrong while writing into one line that says what to do."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DataError):
            raise DataError(
                f"{self._directory}: a checkpoint could not be written ({_first_line(error)}). {_GO_ON}"
            ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
