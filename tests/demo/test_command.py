"""``blindsr demo`` before the page is served."""

import socket
import subprocess
import sys

import pytest

from blindsr_jax.cli import main, parser
from blindsr_jax.demo import server
from blindsr_jax.errors import DataError


def test_defaults_are_this_machine_alone():
    arguments = parser().parse_args(["demo"])
    assert (arguments.host, arguments.port, arguments.max_megapixels) == (server.HOST, None, 2.0)
    assert server.HOST == "127.0.0.1" and not arguments.no_browser and arguments.model == []


@pytest.mark.parametrize(
    "words", [["--port", "0"], ["--port", "70000"], ["--max-megapixels", "0"], ["--max-megapixels", "nan"]]
)
def test_wrong_options(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["demo", *words])
    assert ended.value.code == 2 and "must be a" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "--no-browser"]) == 1
    assert "pip install -e '.[demo]'" in capsys.readouterr().err


def test_next_port_if_the_default_one_is_taken_and_an_error_for_one_that_was_asked_for(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "PORT", port)
        assert port < server.free_port("127.0.0.1", None) < port + 100
        with pytest.raises(DataError, match=f"--port {port}: cannot be used.*take another"):
            server.free_port("127.0.0.1", port)


def test_no_such_host():
    with pytest.raises(DataError, match=r"no such address|cannot be used"):
        server.free_port("no.such.host.invalid", 7860)


def test_importing_the_command_brings_in_no_gradio():
    code = "import sys, blindsr_jax.cli, blindsr_jax.demo.server; print('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
