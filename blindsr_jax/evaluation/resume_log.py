"""``ResumeLog``: the finished images of an evaluation, so that an interrupted one can resume."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.samples import EvaluationImage
from blindsr_jax.evaluation.scores import Row
from blindsr_jax.files import write_text

NAME = "rows.json"


class ResumeLog:
    """The rows of finished images, stored in ``rows.json`` in the report's folder.

    Args:
      folder: the report's folder.
      question: the subject of the evaluation, JSON-ready: weights, protocol, methods. Rows are valid only for it.
      overwrite: discard earlier rows.

    Raises:
      DataError: the folder holds an evaluation with another subject, or the file is damaged; nothing was changed.
    """

    def __init__(self, folder: str | os.PathLike, question: dict[str, typing.Any], *, overwrite: bool = False):
        self._path = pathlib.Path(folder) / NAME
        self._question = json.loads(json.dumps(question))
        self._images: dict[str, dict[str, typing.Any]] = {}
        if self._path.exists() and not overwrite:
            self._images = self._read()

    def __len__(self) -> int:
        return len(self._images)

    def rows_of(self, image: EvaluationImage) -> list[Row] | None:
        """The rows of a finished image; None if it is not finished or its file was replaced."""
        done = self._images.get(image.name)
        if done is None or done["digest"] != image.digest:
            return None
        return [Row(**row) for row in done["rows"]]

    def add(self, image: EvaluationImage, rows: list[Row]) -> None:
        """Record a finished image. Raises DataError if the file cannot be written."""
        self._images[image.name] = {"digest": image.digest, "rows": [dataclasses.asdict(row) for row in rows]}
        write_text(self._path, json.dumps({"question": self._question, "images": self._images}, ensure_ascii=False))

    def _read(self) -> dict[str, dict[str, typing.Any]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            question, images = content["question"], content["images"]
            for done in images.values():
                [Row(**row) for row in done["rows"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self._path}: cannot be read ({error}); --overwrite starts anew") from None
        other = [key for key in question.keys() | self._question.keys() if question.get(key) != self._question.get(key)]
        if other:
            raise DataError(
                f"{self._path.parent} holds a report of something else (another {', '.join(sorted(other))}): "
                "choose another folder after -o, or --overwrite"
            )
        return images
