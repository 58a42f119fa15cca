"""What passes while one picture is restored, on a terminal: seconds, and the steps of models that learn from it."""

from __future__ import annotations

import contextlib
import threading
import typing

from tqdm import tqdm

from blindsr_jax.errors import printable
from blindsr_jax.internal_learning.watching import Learned, Watch

_EVERY = 0.5  # seconds


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
            bar.bar_format = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
            if bar.desc != f"{so_far.task}: ":
                bar.reset(so_far.steps)
                bar.set_description(so_far.task, refresh=False)
            bar.n = so_far.step

        thread.start()
        try:
            yield learned
        finally:
            ended.set()
            thread.join()
