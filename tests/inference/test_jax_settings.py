"""The packaged models give the same numbers under settings of JAX that users have for their own code."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import drilled

ROOT = pathlib.Path(__file__).parents[2]
_RESTORE_ALL = """
import json, zlib
import numpy as np
import blindsr_jax
from blindsr_jax.data.sources import open_source
image = open_source("sample", split="validation").read(0)[300:348, 600:660]
kernel, sums = np.full((5, 5), 1 / 25, np.float32), {}
for name in blindsr_jax.models():
    model = blindsr_jax.load(f"{name}+usrnet-tiny" if name.startswith("kernelnet") else name)
    if name == "usrnet-tiny":
        restored = model.at_scale(2).restore(image, kernel=kernel)
    else:
        restored = model.restore(image)
    sums[name] = zlib.crc32(restored.tobytes())
print(json.dumps(sums))
"""


def _sums(**settings):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    command = [sys.executable, "-c", _RESTORE_ALL]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def expected():
    return _sums()


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        drilled({"JAX_ENABLE_X64": "1"}),
        drilled({"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_TRANSFER_GUARD": "disallow"}),
        {"JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_TRANSFER_GUARD": "disallow"},
    ],
    ids=lambda setting: "+".join(setting),
)
def test_all_packaged_models_restore_the_same(expected, setting):
    assert len(expected) >= 9
    assert _sums(**setting) == expected
