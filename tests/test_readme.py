"""The README's two commands, and that what it says exists."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from blindsr_jax.cli import parser
from blindsr_jax.data.sources import open_source
from tests.compiling import ONE_DEVICE
from tests.drawn_pictures import draw_pictures

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _marked(name):
    block = README.split(f"<!-- {name} command -->")[1].split("<!-- end -->")[0]
    return block.replace("```", "").strip()


def _commands():
    blocks = re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(("blindsr ", "python -m"))]


@pytest.mark.slow
def test_quickstart_command_leaves_what_is_promised(tmp_path):
    install, run = _marked("quickstart").split(" && ")
    assert install == "python3 -m pip install -e '.[train]'"
    words = shlex.split(run)
    assert words[:3] == ["python3", "-m", "blindsr_jax.main"]
    workdir = tmp_path / "quickstart"
    shorter = ["--config.steps=2", "--config.validation.every=2", "--config.optimizer.warmup=0"]
    pictures = draw_pictures(tmp_path / "pictures", 1)
    shorter += ["--config.validation.source=folder", f"--config.validation.root={pictures}"]
    shorter += ["--config.validation.crop=64", "--config.data.batch_size=4"]
    arguments = [str(workdir) if word == "runs/quickstart" else word for word in words[1:]]
    environment = os.environ | {"XLA_FLAGS": ONE_DEVICE}
    command = [sys.executable, *arguments, *shorter]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert "dB against bicubic" in result.stdout
    for name in ("report.md", "panel.png", "model.safetensors", "restored/sr.png"):
        assert (workdir / name).is_file()
    assert json.loads((workdir / "report.json").read_text())["images"] == len(list(pictures.iterdir()))


def test_quickstart_is_about_the_photographs_that_the_readme_counts():
    assert "on thirteen packaged photographs, scores it on three others" in " ".join(README.split())
    assert [len(open_source("sample", split=split)) for split in ("train", "validation")] == [13, 3]


def test_test_command_is_what_ci_runs():
    assert _marked("test") == "python3 -m pip install -e '.[test]' && python3 -m pytest -n 2 --dist loadfile"
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_every_blindsr_command_is_understood():
    commands = [shlex.split(line) for line in _commands() if line.startswith("blindsr ")]
    assert len(commands) >= 4
    for words in commands:
        parser().parse_args(words[1:])


def test_every_config_named_exists():
    configs = re.findall(r"--config (\S+)", README)
    assert len(configs) >= 3
    for name in configs:
        assert (ROOT / name).exists(), name


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 170
