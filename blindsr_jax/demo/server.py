"""Serve the page: by default to this machine only, without contacting other servers, leaving no files behind."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import typing
import webbrowser

from blindsr_jax.demo.folders import own_folder
from blindsr_jax.demo.guard import Guard
from blindsr_jax.demo.model_choices import find_model_choices
from blindsr_jax.demo.stopping import RUN
from blindsr_jax.demo.uploads import MEGAPIXELS, most_bytes
from blindsr_jax.errors import DataError
from blindsr_jax.lazy import how_to_install

HOST, PORT = "127.0.0.1", 7860
_PORTS = 100  # how many ports to try, starting with the default
_SESSIONS = 20_000  # how many sessions are kept, by last use; pictures are counted apart, see ``keeping``
_FILES = 30  # the uploads and results of all visitors may have as many bytes as this number of largest files
_EVENTS = 64  # events of the page that may wait


def free_port(host: str, port: int | None) -> int:
    """Find a free port: ``port`` itself, or the first free one from the default on.

    Raises:
      DataError: the port is taken or not allowed; no port is free; or there is no such host.
    """
    for candidate in [port] if port else range(PORT, PORT + _PORTS):
        try:
            family = socket.getaddrinfo(host, candidate)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((host, candidate))
            return candidate
        except socket.gaierror:
            raise DataError(f"--host {host}: there is no such address on this machine") from None
        except OSError as error:
            reason = error.strerror or str(error)
            if port:
                raise DataError(f"--port {port}: cannot be used on {host} ({reason}): take another") from None
    raise DataError(f"no free port from {PORT} to {PORT + _PORTS - 1} on {host} ({reason}): name one with --port")


@contextlib.contextmanager
def serving(
    *,
    host: str = HOST,
    port: int | None = None,
    models: typing.Sequence[str] = (),
    megapixels: float = MEGAPIXELS,
    hosts: typing.Sequence[str] = (),
) -> typing.Iterator[str]:
    """Serve the page during this block, at the address that it returns; its files are removed afterwards.

    Requests of other sites, requests by names that are not the page's, and too large ones are refused: see ``guard``.

    Args:
      host: address to listen on.
      port: by default the first free port from 7860 on.
      models: further models to offer, as ``load`` takes them.
      megapixels: size of the largest picture that is restored.
      hosts: further names by which the page may be called, such as that of a proxy.

    Raises:
      DataError: Gradio is not installed; or as ``free_port`` and ``find_model_choices``.
      WeightsError: as ``find_model_choices``.
    """
    if importlib.util.find_spec("gradio") is None:
        raise DataError(f"the page needs Gradio, which is not installed: {how_to_install('demo')}")
    port, model_choices = free_port(host, port), find_model_choices(models)
    with own_folder() as folder:
        cache, runs, seen = (folder / name for name in ("cache", "runs", "views"))
        for part in (cache, runs, seen):
            part.mkdir()
        # Gradio reads these when it is imported. It does not copy files that are already in its cache, and such files
        # would disappear with their run, so runs write to another folder.
        os.environ |= {"GRADIO_TEMP_DIR": str(cache), "GRADIO_ANALYTICS_ENABLED": "False"}
        import gradio
        from starlette.middleware import Middleware

        from blindsr_jax.demo import page

        most = most_bytes(megapixels)
        guard = {"hosts": [*hosts, host], "cache": cache, "most_bytes": most, "quota": _FILES * most}
        shown = page.build(model_choices, megapixels, runs, seen)
        _, address, _ = shown.queue(default_concurrency_limit=1, max_size=_EVENTS).launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=most,
            state_session_capacity=_SESSIONS,
            allowed_paths=[str(seen)],
            app_kwargs={"middleware": [Middleware(Guard, **guard)]},
            css=page.STYLE,
            head=page.HEAD,
            theme=gradio.themes.Default(primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        )
        try:
            yield address
        finally:
            shown.close(verbose=False)


def serve(*, browser: bool, **options: typing.Any) -> int:
    """Serve the page until Ctrl-C or SIGTERM and return the exit code; for the options see ``serving``."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with serving(**options) as address:
        print(f"blindsr demo: {address}  (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(address)
        ended.wait()
    print("blindsr demo: ended, nothing is kept", flush=True)
    if any(thread.name.startswith(RUN) for thread in threading.enumerate()):
        # A program of JAX cannot be interrupted, and Python would wait for its thread.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(0)
    return 0
