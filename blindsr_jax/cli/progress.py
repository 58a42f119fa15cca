"""Show on a terminal how one picture gets on: the seconds, and the steps of models that learn from it."""

from __future__ import annotations

import contextlib
import threading
import typing

from tqdm import tqdm

from blindsr_jax.errors import printable
from blindsr_jax.internal_learning.watching import Learned, Watch

_EVERY = 0.5  # seconds
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"


@contextlib.contextmanager
def working(text: str, *, shown: bool) -> typing.Iterator[Watch]:
    """Show a text and the seconds since the start of the block, because a single program has no steps to count.

    Args:
      text: what is done, such as the names of picture and model.
      shown: whether to show it; it is shown on terminals only.

    Yields:
      A function for models that learn, which turns the text into a bar with the time left.
    """
    ended = threading.Event()
    with tqdm(
        desc=printable(text), bar_format="{desc}: {elapsed}", leave=False, disable=None if shown else True
    ) as bar:

        def refresh() -> None:
            while not ended.wait(_EVERY):
                bar.refresh()

        thread = threading.Thread(target=refresh, daemon=True)

        def learned(so_far: Learned) -> None:
            if bar.disable:
                return
            if bar.bar_format != _BAR or bar.desc != so_far.task:
                bar.bar_format, bar.desc = _BAR, so_far.task
                bar.reset(so_far.steps)
            bar.n = so_far.step

        thread.start()
        try:
            yield learned
        finally:
            ended.set()
            thread.join()
