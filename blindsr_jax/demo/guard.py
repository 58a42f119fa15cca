"""Refuse requests that do not come from the page itself, and requests that would fill the disk or the memory.

A page of another site, opened in the same browser, can send requests to this machine. With DNS rebinding it can even
read the answers: its name then resolves to this machine, but the header ``Host`` still holds the foreign name.
"""

from __future__ import annotations

import ipaddress
import pathlib
import socket
import typing
import urllib.parse

Scope = typing.MutableMapping[str, typing.Any]
Message = typing.MutableMapping[str, typing.Any]
Receive = typing.Callable[[], typing.Awaitable[Message]]
Send = typing.Callable[[Message], typing.Awaitable[None]]

SMALL_BODY = 2**20  # bytes of a request that uploads no file
_UPLOAD = "/upload"
_FORM = 2**16  # bytes of a form around an uploaded file


class Guard:
    """ASGI middleware that answers unwanted requests itself, in a sentence."""

    def __init__(
        self, app: typing.Any, *, hosts: typing.Sequence[str], cache: pathlib.Path, most_bytes: int, quota: int
    ):
        """Wrap an application.

        Args:
          app: the ASGI application.
          hosts: names by which the page may be called, beside ``localhost``, this machine's name and IP addresses.
          cache: folder of the uploaded files.
          most_bytes: size of the largest file.
          quota: the most bytes of all files in ``cache``.
        """
        self._app, self._cache, self._most, self._quota = app, cache, most_bytes, quota
        self._coming = 0  # bytes of uploads that have not ended
        self._hosts = {name.lower() for name in (*hosts, "localhost", socket.gethostname(), socket.getfqdn())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket" and self._foreign(_headers(scope), scope):
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        uploads = scope["path"].rstrip("/").endswith(_UPLOAD) and scope["method"] == "POST"
        limit = self._most + _FORM if uploads else SMALL_BODY
        if reason := self._foreign(headers, scope):
            await _answer(send, 403, reason)
        elif (count := _length(headers)) is None or count > limit:
            await _answer(send, 413, f"This request is too large: this page takes up to {limit:,} bytes at once.")
        elif not uploads:
            await self._app(scope, _limited(receive, limit), send)
        elif self._stored() + self._coming + count > self._quota:
            await _answer(send, 507, "The page's room for pictures is full: try again in some minutes.")
        else:
            self._coming += count
            try:
                await self._app(scope, _limited(receive, count), send)
            finally:
                self._coming -= count

    def _foreign(self, headers: dict[str, str], scope: Scope) -> str:
        """Why a request is not the page's own; empty if it is."""
        host = headers.get("host", "")
        if not self._known(host):
            return f"This page is not called {host!r}. Start it with --allow-host NAME to reach it by another name."
        origin = headers.get("origin")
        if origin is not None and not self._own(origin, host):
            return "This request comes from another site."
        moved = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") == "GET"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not moved:
            return "This request comes from another site."
        return ""

    def _own(self, origin: str, host: str) -> bool:
        given = urllib.parse.urlsplit(origin)
        return given.netloc.lower() == host.lower() or (given.hostname or "") in self._hosts - {"localhost"}

    def _known(self, host: str) -> bool:
        try:
            name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True  # no name was resolved

    def _stored(self) -> int:
        return sum(path.stat().st_size for path in self._cache.rglob("*") if path.is_file())


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by their names; of several with one name the last, and of several hosts none."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    found = dict(pairs)
    if sum(name == "host" for name, _ in pairs) != 1:
        found["host"] = ""
    return found


def _length(headers: dict[str, str]) -> int | None:
    """The declared size of a body, 0 without a body; None if it cannot be read, or will only be known at the end."""
    if "transfer-encoding" in headers:
        return None
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _limited(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= limit else {"type": "http.disconnect"}

    return limited


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
