"""The page's folder for uploads and results: removed at the end, or at the next start if the server was killed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
import typing

import filelock

_PREFIX, _LOCK = "blindsr-demo-", "in-use.lock"
_YOUNG = 60  # seconds: a folder without a lock may belong to a server that is just starting


@contextlib.contextmanager
def own_folder() -> typing.Iterator[pathlib.Path]:
    """Yield a new folder, and remove it at the end. Folders of servers that no longer run are removed first."""
    sweep(pathlib.Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        with filelock.FileLock(folder / _LOCK):
            yield folder


def sweep(parent: pathlib.Path) -> None:
    """Remove the folders of servers that no longer run. Those of other users stay."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, filelock.Timeout):
            if not folder.is_symlink() and folder.is_dir() and _is_ours(folder) and _is_left(folder):
                shutil.rmtree(folder)


def _is_ours(folder: pathlib.Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _is_left(folder: pathlib.Path) -> bool:
    if not (folder / _LOCK).exists():
        return time.time() - folder.stat().st_mtime > _YOUNG
    with filelock.FileLock(folder / _LOCK, timeout=0):  # raises Timeout while its server runs
        return True
