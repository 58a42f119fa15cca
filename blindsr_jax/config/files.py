"""Find config files: at a user's path, or among this project's, which the wheel includes."""

from __future__ import annotations

import pathlib
import typing

_PACKAGE = pathlib.Path(__file__).parents[1]
_FLAG = "--config"


def project_configs() -> dict[str, pathlib.Path]:
    """This project's config files by name: inside the package in the wheel, beside the package in a clone."""
    folders = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
    folder = next((folder for folder in folders if (folder / "quickstart.py").is_file()), folders[0])
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def with_found_config(arguments: typing.Sequence[str]) -> list[str]:
    """Replace the ``--config`` of a command line by the path of a file.

    The path of an existing file is kept. ``dan_x4``, ``dan_x4.py`` and ``configs/dan_x4.py`` name this project's config
    in any working directory.
    """
    found = list(arguments)
    for i, argument in enumerate(found):
        if argument.startswith(f"{_FLAG}="):
            found[i] = f"{_FLAG}={_path(argument.removeprefix(f'{_FLAG}='))}"
        elif argument == _FLAG and i + 1 < len(found):
            found[i + 1] = _path(found[i + 1])
    return found


def _path(given: str) -> str:
    path = pathlib.PurePath(given)
    if pathlib.Path(given).is_file() or path.parent.name not in ("", "configs") or path.suffix not in ("", ".py"):
        return given
    return str(project_configs().get(path.stem, given))
