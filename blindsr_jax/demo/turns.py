"""One run at a time: the others wait for their turn and hear how many are before them."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
import typing

from blindsr_jax.errors import DataError

MOST_WAITING = 12
MOST_OF_ADDRESS = 3  # runs of one address, so that one machine cannot fill the queue under many names
_LOOKS = 0.2  # seconds between two looks at the queue
_GONE = 10.0  # seconds: a visitor's page that asks for nothing so long is closed


class _Turn:
    def __init__(self, visitor: str, address: str):
        self.visitor, self.address, self.asked, self.seen = visitor, address, False, time.monotonic()


class Turns:
    """The queue of a page."""

    def __init__(self, most: int = MOST_WAITING):
        """Make an empty queue in which at most so many visitors wait."""
        self._most, self._queue, self._lock = most, typing.cast("list[_Turn]", []), threading.Lock()

    def running(
        self,
        visitor: str,
        stop: threading.Event,
        stages: typing.Generator[typing.Any, None, None],
        address: str = "",
    ) -> typing.Iterator[typing.Any]:
        """Yield the number of visitors before this one each time it changes, and then the stages.

        Args:
          visitor: the visitor, who can wait once at a time.
          stop: ends the waiting when it is set.
          stages: what to run when it is the visitor's turn; closed at the end.
          address: of the visitor's machine. At most ``MOST_OF_ADDRESS`` runs of one address are in the queue. This
            machine's own, which is also that of a proxy, has no such limit.

        Raises:
          DataError: too many wait, altogether or of this address, or this visitor does already.
        """
        with contextlib.closing(stages), self._place(visitor, address) as turn:
            before = -1
            while not stop.is_set() and (now := self._before(turn)):
                turn.seen = time.monotonic()
                if now != before:
                    before = now
                    yield from self._given(turn, now)
                stop.wait(_LOOKS)
            if not stop.is_set():
                for stage in stages:
                    yield from self._given(turn, stage)

    @contextlib.contextmanager
    def _place(self, visitor: str, address: str) -> typing.Iterator[_Turn]:
        turn = _Turn(visitor, address)
        with self._lock:
            self._drop_gone()
            if any(other.visitor == visitor for other in self._queue):
                raise DataError("Your last run has not ended yet: wait for it, or press Stop.")
            of_address = sum(other.address == address for other in self._queue)
            if of_address >= MOST_OF_ADDRESS and not _is_own(address):
                raise DataError(f"{of_address} runs of your address have not ended yet: wait for one of them.")
            if len(self._queue) > self._most:
                raise DataError(f"{len(self._queue)} runs are waiting already: try again in some minutes.")
            self._queue.append(turn)
        turn.asked = True
        try:
            yield turn
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._queue.remove(turn)

    def _given(self, turn: _Turn, value: typing.Any) -> typing.Iterator[typing.Any]:
        """Hand a value over. Until the page asks for the next one, it may be that nobody is there any more."""
        turn.asked, turn.seen = False, time.monotonic()
        yield value
        turn.asked = True

    def _before(self, turn: _Turn) -> int:
        with self._lock:
            self._drop_gone()
            if turn not in self._queue:
                self._queue.append(turn)  # the page came back after it had been given up
            return self._queue.index(turn)

    def _drop_gone(self) -> None:
        now = time.monotonic()
        self._queue[:] = [turn for turn in self._queue if turn.asked or now - turn.seen < _GONE]


def _is_own(address: str) -> bool:
    """Whether an address is this machine's own, or not known."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True
