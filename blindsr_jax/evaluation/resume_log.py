"""What an evaluation has already done, image by image, so that an interrupted one goes on."""

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
    """The rows of finished images, in ``rows.json`` of a report's folder.

    Args:
      folder: of the report.
      question: what is being measured, JSON-ready: weights, protocol, methods. Rows answer no other question.
      overwrite: forget what is there.

    Raises:
      DataError: the folder holds the answer to another question, or the file is damaged; nothing was changed.
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
        """The rows of an image that is done, or None if it is not, or was replaced by another of the same name."""
        done = self._images.get(image.name)
        if done is None or done["digest"] != image.digest:
            return None
        return [Row(**row) for row in done["rows"]]

    def add(self, image: EvaluationImage, rows: list[Row]) -> None:
        """Writes down that an image is done. Raises DataError if the file cannot be written."""
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
