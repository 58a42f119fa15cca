"""The packaged models give the same numbers under settings of JAX that users have for their own code."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import pytest

import blindsr_jax
from tests.conftest import drilled

ROOT = pathlib.Path(__file__).parents[2]
_RESTORE_ALL = """
import json, sys, zlib
import numpy as np
import blindsr_jax
from blindsr_jax.data.sources import open_source
image = open_source("sample", split="validation").read(0)[300:348, 600:660]
kernel, sums = np.full((5, 5), 1 / 25, np.float32), {}
for name in sys.argv[1:]:
    model = blindsr_jax.load(f"{name}+usrnet-tiny" if name.startswith("kernelnet") else name)
    if name == "usrnet-tiny":
        restored = model.at_scale(2).restore(image, kernel=kernel)
    else:
        restored = model.restore(image)
    sums[name] = zlib.crc32(restored.tobytes())
print(json.dumps(sums))
"""


# One of each kind: the others differ from them in scale and numbers alone.
SOME = ("dan-lite-photo-x2", "kernelnet-x2", "usrnet-tiny")
_X64 = {"JAX_ENABLE_X64": "1"}
_STRICT = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_TRANSFER_GUARD": "disallow"}


@functools.cache
def _sums(names, settings=()):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(settings)
    command = [sys.executable, "-c", _RESTORE_ALL, *names]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("names", [SOME, drilled(None)], ids=["one of each kind", "all"])
@pytest.mark.parametrize("setting", [_X64, _X64 | _STRICT], ids=["x64", "x64 and strict"])
def test_packaged_models_restore_the_same(names, setting):
    names = tuple(names or blindsr_jax.models())
    expected = _sums(names)
    assert len(expected) == len(names)
    assert _sums(names, tuple(setting.items())) == expected
