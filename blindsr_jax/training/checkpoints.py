"""Checkpoints of a run: the newest few and the best one, written in the background and atomically.

On several hosts each process writes its share of the arrays to one shared folder, and process 0 renames the checkpoint
when all are done. The stored arrays are whole, so any number of processes and devices can read them. Each checkpoint
has a checksum, which is verified on reading.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import pathlib
import shutil
import typing

import jax
import jax.numpy as jnp
from orbax.checkpoint.experimental import v1 as ocp

from blindsr_jax.errors import BlindSRError, DataError, HostLost
from blindsr_jax.hosts import all_or_none, is_first
from blindsr_jax.training.checkpoint_files import (
    ITEM,
    check_descriptions,
    checksum_of,
    first_line,
    recorded_score,
    score_in,
    set_aside,
)
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)
_METRIC = "score"
_CHECKSUM = "sha256"
_ADDED_LATER = ("rollbacks", "skipped")  # fields of the state that checkpoints of earlier versions lack
_NONE_SOUND = "nor can any other there. If they are damaged, move the folder checkpoints away to begin anew"
_GO_ON = "Complete checkpoints there are intact: make room, then run the same command to go on from the newest"


class Checkpoints:
    """The folder ``checkpoints`` of a workdir.

    Use it as a context manager. Leaving it waits for pending writes, unless another host was lost: then they cannot
    finish. All processes must call each method together.

    Args:
      workdir: folder of the run.
      keep: number of newest checkpoints to keep, besides the best by validation score.
      read_only: change nothing; allows reading the checkpoints of a run in progress.

    Raises:
      DataError: the folder cannot be written, or all of its checkpoints are damaged.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int = 2, *, read_only: bool = False):
        self._directory = pathlib.Path(workdir).absolute() / "checkpoints"
        self._saving: ocp.AsyncResponse[bool] | None = None
        self._writer: ocp.training.Checkpointer | None = None
        if read_only:
            return
        policies = ocp.training.preservation_policies
        best = policies.BestN(n=1, get_metric_fn=score_in, keep_checkpoints_without_metrics=False)
        keeping = policies.AnyPreservationPolicy([policies.LatestN(keep), best])
        with self._explaining():
            with all_or_none():
                if is_first():
                    self._tidy()
            self._writer = ocp.training.Checkpointer(self._directory, preservation_policy=keeping)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, HostLost) or self._writer is None:
            return
        with self._writing() as writer:
            try:
                self._finish_saving()
            finally:
                writer.close()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, in ascending order."""
        return sorted(int(path.name) for path in self._directory.glob("*") if path.name.isdigit())

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return max(self.steps, default=None)

    @property
    def best_step(self) -> int | None:
        """Step of the checkpoint with the best validation score, of the newest if none has a score, or None."""
        recorded = {step: recorded_score(self._directory / str(step)) for step in self.steps}
        scores = {step: score for step, score in recorded.items() if score is not None}
        return max(scores, key=scores.__getitem__, default=self.latest_step)

    def save(self, state: TrainState, score: float | None = None) -> None:
        """Start writing a state under its step. On return the arrays have been copied, so training can continue.

        Args:
          state: the state to save.
          score: validation score at this step, if it was validated; higher is better.

        Raises:
          DataError: this save or the previous one failed, for example on a full disk. Older checkpoints are intact.
        """
        with all_or_none():
            self._check_room(state)
        values = _fields(state)
        with self._writing() as writer:
            self._finish_saving()
            self._saving = writer.save_async(
                int(state.step),
                values,
                checkpointable_name=ITEM,
                force=True,
                metrics=None if score is None else {_METRIC: score},
                custom_metadata={_CHECKSUM: checksum_of(values, score)},
            )

    def _check_room(self, state: TrainState) -> None:
        """Raise DataError if the disk is full. Orbax's writer threads would fail less clearly."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + 2**20
        free = shutil.disk_usage(self._directory).free
        if free < needed:
            raise DataError(
                f"{self._directory}: a checkpoint could not be written, it needs {needed / 1e6:.0f} MB and "
                f"{free / 1e6:.0f} MB are free. {_GO_ON}"
            )

    def wait(self) -> None:
        """Wait until everything is on disk. Raises DataError as ``save`` does."""
        with self._writing() as writer:
            self._finish_saving()
            writer.wait()

    def _finish_saving(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()  # raises the errors of the background write

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Read a checkpoint and verify its checksum. Checkpoints of earlier versions have none.

        Args:
          step: step of the checkpoint.
          like: a state with the structure and the shardings of the result; may be abstract.

        Raises:
          DataError: the checkpoint is damaged or belongs to another model.
        """
        folder = self._directory / str(step)
        try:
            check_descriptions(folder)
            about = ocp.checkpointables_metadata(folder)
            new = [name for name in _ADDED_LATER if name not in about.metadata[ITEM]]
            target = _fields(jax.tree.map(_abstract, like), leave_out=new)
            values = ocp.load(folder, target, checkpointable_name=ITEM)
            checksum = (about.custom_metadata or {}).get(_CHECKSUM)
            if checksum is not None and checksum != checksum_of(values, recorded_score(folder)):
                raise ValueError("its numbers are not those that were saved: the checksum differs")
            if int(values["step"]) != step:
                raise ValueError(f"it holds step {int(values['step'])}")
        except Exception as error:  # orbax and tensorstore raise many types of errors for damaged files
            raise DataError(f"{folder}: this checkpoint cannot be read ({first_line(error)})") from error
        return TrainState(**values, **{name: jnp.zeros_like(values["step"]) for name in new})

    def restore_newest(self, like: TrainState) -> TrainState | None:
        """The newest readable state, or None if there is no checkpoint.

        Newer checkpoints that cannot be read are logged and renamed to ``STEP.damaged``, so that the run can save their
        steps again.

        Raises:
          DataError: there are checkpoints, but none can be read.
        """
        return self._restore_first(self.steps[::-1], like)

    def restore_best(self, like: TrainState) -> TrainState | None:
        """The state at ``best_step``. If it cannot be read, the newest readable one, as ``restore_newest``."""
        best = self.best_step
        return self._restore_first(sorted(self.steps, key=lambda step: (step == best, step), reverse=True), like)

    def _restore_first(self, steps: list[int], like: TrainState) -> TrainState | None:
        failures: dict[int, BlindSRError] = {}
        for step in steps:
            try:
                with all_or_none():
                    state = self.restore(step, like)
            except HostLost:
                raise
            except BlindSRError as error:
                failures[step] = error
                continue
            for failed, problem in failures.items():
                log.warning("%s; step %d is taken in place of step %d", problem, step, failed)
            if failures and self._writer is not None:
                self._set_aside(list(failures))
            return state
        if failures:
            raise DataError(f"{failures[steps[0]]}; {_NONE_SOUND}") from failures[steps[0]]
        return None

    def restore_good(self, like: TrainState, newest: int | None = None) -> TrainState | None:
        """The newest state whose last update was finite, or None. Deletes the checkpoints after it.

        Args:
          like: as for ``restore``.
          newest: states of later steps are not good either.
        """
        self.wait()
        last = math.inf if newest is None else newest
        while (state := self.restore_newest(like)) is not None and (int(state.bad_in_a_row) or int(state.step) > last):
            with self._writing() as writer:
                writer.delete(int(state.step))
        return state

    def _tidy(self) -> None:
        """Delete the partial checkpoints of a killed run, and set aside damaged ones, which the writer cannot open."""
        for path in self._directory.glob("*orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)
        damaged: dict[pathlib.Path, str] = {}
        for folder in [self._directory / str(step) for step in self.steps]:
            try:
                check_descriptions(folder)
            except (OSError, ValueError) as error:
                damaged[folder] = f"{folder}: this checkpoint cannot be read ({first_line(error)})"
        sound = [step for step in self.steps if self._directory / str(step) not in damaged]
        for folder, problem in damaged.items():
            if not sound:
                raise DataError(f"{problem}; {_NONE_SOUND}")
            log.warning("%s; it is set aside, and step %d is the newest", problem, sound[-1])
            set_aside(folder)

    def _set_aside(self, steps: list[int]) -> None:
        with self._writing() as writer:
            with all_or_none():
                if is_first():
                    for step in steps:
                        set_aside(self._directory / str(step))
            writer.reload()

    @contextlib.contextmanager
    def _writing(self) -> typing.Iterator[ocp.training.Checkpointer]:
        """The writer, whose errors become DataErrors."""
        with self._explaining():
            if self._writer is None:
                raise DataError(f"{self._directory}: opened to be read only")
            yield self._writer

    @contextlib.contextmanager
    def _explaining(self) -> typing.Iterator[None]:
        """Turn errors of writing into a DataError with one line of advice."""
        try:
            yield
        except BlindSRError:
            raise
        except Exception as error:  # orbax and tensorstore raise many types of errors
            raise DataError(
                f"{self._directory}: a checkpoint could not be written ({first_line(error)}). {_GO_ON}"
            ) from error


def _fields(state: TrainState, leave_out: typing.Collection[str] = ()) -> dict[str, typing.Any]:
    names = [field.name for field in dataclasses.fields(state) if field.name not in leave_out]
    return {name: getattr(state, name) for name in names}


def _abstract(leaf: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
