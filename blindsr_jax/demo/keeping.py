"""The pictures and results that the page keeps for its visitors, in a bounded part of the memory."""

from __future__ import annotations

import collections
import secrets
import threading
import time
import typing


class Kept:
    """Values by secret keys. Those that were not asked for longest go first when there is no room.

    A visitor's session holds the keys alone, so sessions without a picture take nothing.
    """

    def __init__(self, most_bytes: int, seconds: float):
        """Make an empty store.

        Args:
          most_bytes: the most bytes that all values together may have.
          seconds: a value is dropped when it was not asked for so long.
        """
        self._most, self._seconds = most_bytes, seconds
        self._values: collections.OrderedDict[str, tuple[typing.Any, int, float]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: typing.Any, size: int, *, instead_of: str | None = None) -> str:
        """Keep a value of so many bytes, in place of another, and return its key."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._values.pop(instead_of or "", None)
            self._values[key] = (value, size, time.monotonic())
            while len(self._values) > 1 and (self._bytes() > self._most or self._old(next(iter(self._values)))):
                self._values.popitem(last=False)
        return key

    def get(self, key: str | None) -> typing.Any:
        """The value of a key; None if it is no longer kept."""
        with self._lock:
            if key is None or key not in self._values or self._old(key):
                return None
            value, size, _ = self._values.pop(key)
            self._values[key] = (value, size, time.monotonic())
            return value

    def _bytes(self) -> int:
        return sum(size for _, size, _ in self._values.values())

    def _old(self, key: str) -> bool:
        return time.monotonic() - self._values[key][2] > self._seconds
