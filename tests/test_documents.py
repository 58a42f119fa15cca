"""Every command in README and docs, executed: on stand-ins for what a reader has, with small networks and few steps."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.cli import main, parser
from blindsr_jax.data.sources import open_source
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle, save_bundle
from tests.compiling import ONE_DEVICE

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Commands that are not carried out here, each with its reason; `blindsr` ones are parsed all the same.
ELSEWHERE = {
    "python3 -m pytest": "it is this run",
    "--config configs/quickstart.py --workdir runs/quickstart": "tests/test_readme.py",
    "blindsr export": "wants the extra [onnx]; tests/export/test_onnx.py and tests/export/test_stablehlo.py",
    "--model dan.onnx": "tests/export/test_onnx.py",
    "blindsr demo": "tests/demo drives it in a browser",
    "blindsr data prepare --source div2k": "downloads 3.5 GB; tests/test_data_commands.py has it with a small archive",
    "python -c": "downloads DIV2K; tests/data/test_sources.py reads a small data set of the same form",
    "--import deblurrer": "tests/test_adding_a_model.py has the network, tests/cli/test_restore.py the option",
    "python -m benchmarks": "hours; tests/test_benchmark*.py run its parts",
    "--pca pca_matrix.pth": "wants three files of IKC's authors; tests/parity/test_field.py converts small ones",
    "--coordinator": "wants four hosts; tests/multihost runs several processes",
    "--config.data.source=div2k": "wants DIV2K; tests/data/test_sources.py",
    "--config.data.source=shards": "wants shards of DIV2K; tests/data/test_shards.py trains from small ones",
}
# Commands that only the drill carries out, each with another one that differs in names alone; all are parsed in CI.
ALIKE = {
    "python3 -m pip install -e '.[demo]'": "python3 -m pip install -e .",
    "python3 -m pip install -e '.[train]'": "python3 -m pip install -e .",
    "python3 -m pip install -e '.[test]'": "python3 -m pip install -e .",
    "--model dan-lite-x4 --protocol no_reference": "--model model.safetensors --protocol no_reference",
    "--model runs/dan_x4 --protocol gaussian8": "--model model.safetensors --protocol gaussian8",
    "--model runs/kernelnet_lite_x2+usrnet_tiny.pth --beside": "--model kernelnet.safetensors+usrnet_tiny.pth --beside",
    "blindsr kernels build --scale 2 -o train_x2.npy": "blindsr kernels build --scale 2 -o train.npy",
}
# What makes a training one of seconds, by the beginning of its config's name.
SMALL = [
    "--config.steps=2",
    "--config.data.batch_size=2",
    "--config.validation.images=1",
    "--config.validation.crop=64",
]
SMALL += ["--config.validation.source=folder", "--config.validation.root=OTHER_PHOTOS", "--config.optimizer.warmup=0"]
SMALLER = {
    "usrnet": [
        "model.iterations=1",
        "model.blocks=1",
        "model.features=(4,4,4,4)",
        "model.hyper_features=4",
        "data.patch=12",
    ],
    "kernelnet": ["model.width=4", "model.refine_features=4", "model.gradient_steps=1", "data.patch=48"],
    "": [
        "model.features=4",
        "model.blocks=1",
        "model.estimator_features=4",
        "model.estimator_blocks=1",
        "data.patch=16",
    ],
}


def _commands():
    """All commands, each once, in the order of the pages; two joined by && as two."""
    found = {}
    for page in PAGES:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in ("" if language == "python" else block).replace("\\\n", " ").splitlines():
                if re.match(r"(blindsr|python3?|launch/\S+|tensorboard) ", line):
                    for command in line.split(" && "):
                        found.setdefault(re.sub(r"\s+", " ", command).strip(), page.name)
    return [
        pytest.param(command, id=f"{page}: {command[:60]}", marks=pytest.mark.drill if _only_in_drill(command) else ())
        for command, page in found.items()
    ]


def _only_in_drill(command):
    return _trains(command) or any(part in command for part in ALIKE)


def _trains(command):
    return "-m blindsr_jax.main" in command or command.startswith("launch/")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the documents speak of: photographs, test sets, models, a kernel."""
    folder = tmp_path_factory.mktemp("reader")
    photos = open_source("sample", split="validation")
    crops = [photos.read(i)[200:296, 500:644] for i in range(3)]  # of one size, for which programs are compiled once
    for name in ("photo.jpg", "photo.png", "holiday/a.jpg", "holiday/sea/b.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crops[0][:40, :48]).save(path)
    for name in ("OTHER_PHOTOS", "hr", "Set5", "Set14", "BSD100", "my_photos", "photos"):
        (folder / name).mkdir()
        Image.fromarray(crops[len(name) % 3]).save(folder / name / "one.png")
    (folder / "RealSR" / "Test" / "4").mkdir(parents=True)
    for name, picture in (("HR", crops[0][:96, :96]), ("LR4", crops[0][:96:4, :96:4])):
        Image.fromarray(picture).save(folder / "RealSR" / "Test" / "4" / f"Canon_001_{name}.png")
    (folder / "PHOTOS").mkdir()
    Image.fromarray(photos.read(1)[:500, :600]).save(folder / "PHOTOS" / "one.png")
    np.save(folder / "k.npy", np.asarray(isotropic_gaussian(1.5, 11)))
    packaged = ROOT / "blindsr_jax" / "weights" / "packaged"
    network = {"name": "danv1", "scale": 4, "features": 4, "blocks": 1, "estimator_features": 4, "estimator_blocks": 1}
    variables = init_variables(build(**network, upsampler="single"), jax.random.key(0, impl="rbg"))
    small = Bundle(jax.tree.map(np.asarray, variables), network | {"upsampler": "single"}, {})
    save_bundle(folder / "model.safetensors", small)
    for name in ("dan_x4.safetensors", "danv2_x4.safetensors", "runs/quickstart/model.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "model.safetensors", folder / name)
    shutil.copy(packaged / "kernelnet-x2.safetensors", folder / "kernelnet.safetensors")
    for run, name in (("dan_x4", "model"), ("kernelnet_lite_x2", "kernelnet")):  # where the drill leaves no run
        (folder / "runs" / run).mkdir()
        shutil.copy(folder / f"{name}.safetensors", folder / "runs" / run / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def official(place):
    """Adds checkpoints of the authors, where there are any."""
    networks = ROOT.parent / "shared" / "reference" / "networks"
    for name in ("usrnet_tiny.pth", "danv2_x4.pth"):
        source = next(iter(networks.glob(name)), None)
        if source is None:
            return False
        shutil.copy(source, place / name)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("command", _commands())
def test_every_command_works(command, place, official, monkeypatch):
    monkeypatch.chdir(place)
    words = shlex.split(command)
    if words[0] == "blindsr":
        parser().parse_args(words[1:])
    if any(part in command for part in ELSEWHERE):
        return
    if ".pth" in command and not official:
        pytest.skip("the authors' checkpoints are not part of the project")
    if words[0] == "blindsr":
        assert main([*words[1:], *_again(words)]) == 0
    elif words[1:4] == ["-m", "pip", "install"]:
        options = ["--dry-run", "--no-deps", "--no-build-isolation", "--quiet"]
        rest = [word for word in words[1:] if word != "-e"]  # what that needs besides, pip fetches
        _run([sys.executable, *rest, *options], ROOT)
    elif words[0] == "tensorboard":
        _run([sys.executable, "-m", "tensorboard.main", "--inspect", *words[1:]], place)
    elif words[0].startswith("launch/"):
        _run([str(ROOT / words[0]), *words[1:], *_small(words)], place)
    else:
        assert words[1:3] == ["-m", "blindsr_jax.main"], f"no way to carry out: {command}"
        _run([sys.executable, *words[1:], *_small(words)], place)


def test_every_training_command_has_a_valid_config():
    """The commands themselves are carried out in the drill; CI carries out the quickstart, in tests/test_readme.py."""
    commands = [shlex.split(param.values[0]) for param in _commands() if _trains(param.values[0])]
    assert len(commands) >= 10
    for words in commands:
        given = flags.FlagValues()
        settings = words[next(i for i, word in enumerate(words) if word.startswith("--")) :]
        arguments = config_lib.with_found_config(["main", *(word for word in settings if word != "--")])
        config = config_flags.DEFINE_config_file("config", lock_config=True, flag_values=given, sys_argv=arguments)
        for name in ("workdir", "mode", "coordinator", "processes", "process_id"):
            flags.DEFINE_string(name, None, "", flag_values=given)
        given(arguments)
        config_lib.validate(config.value)


def _again(words):
    """Several pages write to the same place."""
    return ["--overwrite"] if words[1] in ("restore", "evaluate", "convert", "degrade") else []


def _small(words):
    config = pathlib.Path(words[words.index("--config") + 1]).stem
    kind = next(kind for kind in SMALLER if config.startswith(kind))
    rooted = any(word.startswith("--config.data.root") for word in words)
    photos = [] if rooted else ["--config.data.source=folder", "--config.data.root=PHOTOS"]  # in the place of DIV2K
    return [*SMALL, *photos, *(f"--config.{setting}" for setting in SMALLER[kind])]


def _run(command, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "XLA_FLAGS": ONE_DEVICE}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-2000:]


def test_commands_alike_are_parsed_and_one_of_them_is_carried_out():
    carried_out = [param.values[0] for param in _commands() if not param.marks]
    for part, other in ALIKE.items():
        (words,) = [shlex.split(param.values[0]) for param in _commands() if part in param.values[0]]
        if words[0] == "blindsr":
            parser().parse_args(words[1:])
        assert any(other in command for command in carried_out), part


def test_what_is_tested_elsewhere_is_still_there():
    text = "\n".join(param.values[0] for param in _commands())
    for part, reason in ELSEWHERE.items():
        assert part in text, f"{part} stands in no document any more"
        for name in re.findall(r"tests/[\w/*]+(?:\.py)?", reason):
            assert list(ROOT.glob(name)), name
