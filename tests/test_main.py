"""The training command as a user types it: mistakes get one line, Ctrl-C saves, a full disk loses nothing."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.errors import DataError
from blindsr_jax.training.loop import train
from tests.compiling import ONE_DEVICE
from tests.drawn_pictures import draw_pictures
from tests.training.conftest import tiny_config

ROOT = pathlib.Path(__file__).parents[1]
QUICKSTART = ROOT / "configs" / "quickstart.py"
TINY = [
    "--config.model.features=4",
    "--config.model.blocks=1",
    "--config.model.estimator_features=4",
    "--config.model.estimator_blocks=1",
    "--config.model.iterations=2",
    "--config.data.patch=16",
    "--config.data.batch_size=4",
    "--config.validation.every=1000000",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Arguments that make a run, and the evaluation at its end, one of seconds."""
    pictures = draw_pictures(tmp_path_factory.mktemp("pictures"), 1)
    validation = ["--config.validation.source=folder", f"--config.validation.root={pictures}"]
    return ["--config", QUICKSTART, *TINY, *validation]


def _command(*arguments):
    return [sys.executable, "-m", "blindsr_jax.main", *map(str, arguments)]


def _environment():
    environment = {"XLA_FLAGS": ONE_DEVICE, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    return os.environ | environment


def _run(*arguments):
    result = subprocess.run(_command(*arguments), capture_output=True, text=True, env=_environment(), timeout=300)
    assert "Traceback" not in result.stderr
    return result


# Imported once, and forked for each line of arguments: such a process answers before it starts JAX.
_EACH = """
import json, os, sys
from blindsr_jax.main import main
codes = []
for number, words in enumerate(json.load(sys.stdin)):
    child = os.fork()
    if not child:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}{number}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv[1:] = words
        code = main(sys.argv)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""
_MISTAKES = [
    (["--config.data.batch_sise=4"], "'batch_sise' Did you mean \"batch_size\""),
    (["--config.data.batch_size=many"], "batch_size"),
    (["--config.model.scale=5"], "config.model.scale must be one of 2, 3, 4, got 5"),
    (["--config.data.source=folder"], "--config.data.root=DIR"),
    (["--mode=dance"], "train|evaluate"),
    (["--config=absent.py"], "absent.py: there is no such config file"),
    (["stray"], "stray"),
    (["--colour=blue"], "colour"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code, output and errors of each mistake, of ``--help``, and of each of the two flags alone."""
    folder = tmp_path_factory.mktemp("usage")
    run = ["--config", str(QUICKSTART), "--workdir", "run"]
    cases = [*([*run, *arguments] for arguments, _ in _MISTAKES), ["--help"], run[:2], run[2:]]
    command = [sys.executable, "-c", _EACH]
    environment = _environment()
    result = subprocess.run(
        command, input=json.dumps(cases), cwd=folder, capture_output=True, text=True, env=environment, check=True
    )
    codes = json.loads(result.stdout)
    assert not (folder / "run").exists()
    return [
        (code, *((folder / f"{name}{number}").read_text() for name in ("out", "err")))
        for number, code in enumerate(codes)
    ]


@pytest.mark.parametrize(("number", "message"), enumerate(message for _, message in _MISTAKES))
def test_wrong_usage_is_answered_in_one_line(answers, number, message):
    code, _, said = answers[number]
    assert code == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_help_is_given(answers):
    code, said, _ = answers[len(_MISTAKES)]
    assert code == 0
    assert "--workdir" in said


def test_both_flags_are_asked_for(answers):
    (_, _, without_workdir), (_, _, without_config) = answers[-2:]
    assert "--workdir DIR" in without_workdir
    assert "--config FILE" in without_config


def test_the_command_ends_with_the_code_of_a_mistake():
    result = _run("--colour=blue")
    assert result.returncode == 2
    assert "colour" in result.stderr


def _folder(tmp_path, size, damage=0):
    """A folder with one picture of noise, or none; of a damaged one only so many bytes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    if size:
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "one.png")
    if damage:
        (folder / "one.png").write_bytes((folder / "one.png").read_bytes()[:damage])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "damage", "message"),
    [
        (None, 0, "no image in this folder"),
        ((40, 40), 0, "smaller than the 64 that are needed"),
        ((80, 80), 40, "cannot be read"),  # not even its header
    ],
)
def test_unusable_folders_are_named(tmp_path, size, damage, message):
    folder = _folder(tmp_path, size, damage)
    config = tiny_config(**{"data.source": "folder", "data.root": str(folder), "data.patch": 32})
    with pytest.raises(DataError, match=message) as error:
        train(config, tmp_path / "run")
    assert str(folder) in str(error.value)


@pytest.mark.slow
def test_what_stops_a_command_is_named(tmp_path, tiny):
    folder = _folder(tmp_path, (80, 80), 100)
    arguments = ["--config.data.source=folder", f"--config.data.root={folder}"]
    result = _run(*tiny, "--workdir", tmp_path / "run", *arguments)
    assert result.returncode == 1
    assert "none of the training images can be read" in result.stderr
    assert str(folder) in result.stderr


@pytest.mark.slow
def test_evaluating_nothing_says_what_to_do(tmp_path):
    result = _run("--config", QUICKSTART, "--workdir", tmp_path, "--mode", "evaluate")
    assert result.returncode == 1
    assert "train first" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, tiny):
    step = _interrupted(*tiny, "--workdir", tmp_path)
    assert (tmp_path / "checkpoints" / str(step)).is_dir()


@pytest.mark.drill
def test_the_same_command_goes_on_after_ctrl_c(tmp_path, tiny):
    arguments = [*tiny, "--workdir", tmp_path]
    step = _interrupted(*arguments)
    result = _run(*arguments, f"--config.steps={step + 2}")
    assert result.returncode == 0
    assert f"going on from step {step}" in result.stderr
    assert (tmp_path / "report.json").exists()


def _interrupted(*arguments):
    """Starts a training, ends it by Ctrl-C, and returns the step that it saved."""
    arguments = [*arguments, "--config.log_every=1"]
    process = subprocess.Popen(_command(*arguments), stderr=subprocess.PIPE, text=True, env=_environment())
    seen = ""
    while "train/loss" not in seen:
        line = process.stderr.readline()
        assert line, f"ended early: {seen}"
        seen += line
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert "once more to stop at once" in rest
    assert "SIGINT: saved step" in rest
    assert "run the same command" in rest
    return int(rest.split("saved step ")[1].split(";")[0])


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a small disk")
    try:
        workdir = disk / "run"
        short, longer = (tiny_config(**{"steps": steps, "checkpoint.every": 2}) for steps in (2, 6))
        train(short, workdir)
        (saved,) = (path.name for path in (workdir / "checkpoints").iterdir())
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"\0" * max(free - 20_000, 0))
        with pytest.raises(DataError, match=r"(could not|cannot) be written"):
            train(longer, workdir)
        (disk / "filler").unlink()
        assert saved in {path.name for path in (workdir / "checkpoints").iterdir()}
        assert int(train(longer, workdir).step) == 6
    finally:
        subprocess.run(["umount", disk], check=True)
