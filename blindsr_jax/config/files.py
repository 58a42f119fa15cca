"""Finding config files: where a user says, or among those of this project, which the wheel brings along."""

from __future__ import annotations

import pathlib
import typing

_PACKAGE = pathlib.Path(__file__).parents[1]
_FLAG = "--config"


def project_configs() -> dict[str, pathlib.Path]:
    """The config files of this project by name: in the wheel inside the package, in a clone beside it."""
    folders = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
    folder = next((folder for folder in folders if (folder / "quickstart.py").is_file()), folders[0])
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def with_found_config(arguments: typing.Sequence[str]) -> list[str]:
    """A command line whose ``--config`` is the path of a file.

    A path that exists stays. ``dan_x4``, ``dan_x4.py`` and ``configs/dan_x4.py`` name a config of this project
    wherever the command is run.
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
