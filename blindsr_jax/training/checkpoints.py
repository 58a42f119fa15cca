"""Checkpoints of a run: the newest few and the best one, written in the background, complete or not at all.

On several hosts all processes write, each its share of the arrays, into one folder that all of them see, and process 0
gives the checkpoint its name when all are done. What is stored are whole arrays: they can be read on any number of
processes and devices. Each checkpoint carries a checksum of its numbers, which is verified when it is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
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

    Use as a context manager: leaving it waits for writes under way, unless another host was lost, without which they
    cannot end. All methods are called by all processes together.

    Args:
      workdir: of the run.
      keep: how many of the newest stay, besides the best by validation score.
      read_only: change nothing, for looking into a run that may be going on.

    Raises:
      DataError: the folder cannot be written, or there are checkpoints and all are damaged.
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
        with self._writing():
            with all_or_none():
                if is_first():
                    self._tidy()
            self._writer = ocp.training.Checkpointer(self._directory, preservation_policy=keeping)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, HostLost) or self._writer is None:
            return
        with self._writing():
            try:
                self._finish_saving()
            finally:
                self._writer.close()

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
        """Step of the best validated checkpoint; the newest if none was validated; None if there is none."""
        scores = {step: recorded_score(self._directory / str(step)) for step in self.steps}
        validated = [step for step, score in scores.items() if score is not None]
        return max(validated, key=scores.__getitem__, default=self.latest_step)

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
        values = _fields(state)
        with self._writing():
            self._finish_saving()
            self._saving = self._writer.save_async(
                int(state.step),
                values,
                checkpointable_name=ITEM,
                force=True,
                metrics=None if score is None else {_METRIC: score},
                custom_metadata={_CHECKSUM: checksum_of(values, score)},
            )

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
        with self._writing():
            self._finish_saving()
            self._writer.wait()

    def _finish_saving(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()  # raises what went wrong in the background

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Reads a checkpoint and verifies its checksum, if it has one; earlier versions wrote none.

        Args:
          step: its step.
          like: a state of the same structure, whose shardings the result takes; it may be abstract.

        Raises:
          DataError: the checkpoint is damaged or of another model.
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
        except Exception as error:  # orbax and tensorstore raise many kinds for damaged files
            raise DataError(f"{folder}: this checkpoint cannot be read ({first_line(error)})") from error
        return TrainState(**values, **{name: jnp.zeros_like(values["step"]) for name in new})

    def restore_newest(self, like: TrainState) -> TrainState | None:
        """The newest state that can be read, or None if there is no checkpoint; a warning names those passed over.

        They are set aside as ``STEP.damaged``, so that the run can save these steps again.

        Raises:
          DataError: there are checkpoints, and none can be read.
        """
        return self._restore_first(self.steps[::-1], like)

    def restore_best(self, like: TrainState) -> TrainState | None:
        """The best validated state, or the newest; if that cannot be read, as ``restore_newest``."""
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
            for failed, error in failures.items():
                log.warning("%s; step %d is taken in place of step %d", error, step, failed)
            if failures and self._writer is not None:
                self._set_aside(list(failures))
            return state
        if failures:
            raise DataError(f"{failures[steps[0]]}; {_NONE_SOUND}") from failures[steps[0]]
        return None

    def restore_good(self, like: TrainState) -> TrainState | None:
        """The newest state whose last update was finite, or None; checkpoints after it are deleted."""
        self.wait()
        while (state := self.restore_newest(like)) is not None and int(state.bad_in_a_row):
            with self._writing():
                self._writer.delete(int(state.step))
        return state

    def _tidy(self) -> None:
        """Deletes what a killed run left half written, and sets aside what would keep the writer from starting."""
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
        with self._writing():
            with all_or_none():
                if is_first():
                    for step in steps:
                        set_aside(self._directory / str(step))
            self._writer.reload()

    @contextlib.contextmanager
    def _writing(self) -> typing.Iterator[None]:
        """Turns what goes wrong while writing into one line that says what to do."""
        try:
            yield
        except BlindSRError:
            raise
        except Exception as error:  # orbax and tensorstore raise many kinds
            raise DataError(
                f"{self._directory}: a checkpoint could not be written ({first_line(error)}). {_GO_ON}"
            ) from error


def _fields(state: TrainState, leave_out: typing.Collection[str] = ()) -> dict[str, typing.Any]:
    names = [field.name for field in dataclasses.fields(state) if field.name not in leave_out]
    return {name: getattr(state, name) for name in names}


def _abstract(leaf: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
