"""StableHLO files: the numbers of the model for every size, with JAX alone."""

import json
import re
import runpy
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest

from blindsr_jax.errors import DataError, UsageError, WeightsError
from blindsr_jax.export.program import program_of
from blindsr_jax.export.stablehlo import opened, serialized
from blindsr_jax.export.writing import write_exported
from blindsr_jax.inference.exported import open_exported
from tests.conftest import drilled
from tests.export.networks import images, small

ROOT = Path(__file__).parents[2]


def _write(path, model, **options):
    return write_exported(path, model.module, model.variables, name="a", license="b", **options)


@pytest.mark.parametrize("kind", ["DANv1", *map(drilled, ("DSSR", "KernelNet", "compact DAN", "DANv2"))])
def test_a_file_gives_the_models_numbers_at_every_size(kind, tmp_path):
    model, path = small(kind), tmp_path / "m.stablehlo"
    described = _write(path, model, kernel=kind != "DSSR")
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for lr in (images(17, 23, batch=2), *([images(20, 18)] if kind != "DANv1" else [])):
        found, expected = dict(zip(described.outputs, exported.call(lr))), model(lr)
        for name, wanted in (("image", expected.sr), ("kernel", expected.kernel)):
            assert (name in found) == (wanted is not None)
            if wanted is not None:
                np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_the_description_has_the_limits(tmp_path):
    _write(tmp_path / "m.stablehlo", small("DANv2"), iterations=1)
    described = json.loads((tmp_path / "m.stablehlo.json").read_text())
    assert (described["scale"], described["layout"], described["least_side"]) == (2, "NHWC", 16)
    assert (described["outputs"], described["iterations"], described["license"]) == (["image"], 1, "b")


def test_smaller_images_are_refused(tmp_path):
    model = small("DANv2", iterations=1)
    _write(tmp_path / "m.stablehlo", model)
    with pytest.raises(ValueError, match="shapes"):
        opened(tmp_path / "m.stablehlo")(images(15, 20))


def test_the_script_in_the_documents_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "exporting.md").read_text()
    script = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "jax.export" in code)
    assert len(script.splitlines()) <= 10 and "blindsr" not in script
    model = small("DANv2", iterations=1)
    _write(tmp_path / "dan.stablehlo", model)
    from PIL import Image

    picture = (images(17, 20)[0] * 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "script.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("script.py")
    restored = np.asarray(Image.open(tmp_path / "restored.png"))
    np.testing.assert_allclose(restored, model.restore(picture), atol=1)


def test_what_a_network_lacks_is_named():
    model = small("DSSR")
    with pytest.raises(DataError, match="DSSR estimates no kernel"):
        program_of(model.module, model.variables, kernel=True)
    model = small("KernelNet")
    with pytest.raises(DataError, match="KernelNet works in one pass"):
        program_of(model.module, model.variables, iterations=2)


def test_a_network_that_wants_sizes_is_refused_by_name():
    model = small("DSSR")
    program = program_of(model.module, model.variables)._replace(function=lambda lr: (jax.numpy.fft.fft2(lr),))
    with pytest.raises(DataError, match="DSSR cannot be exported for images of every size"):
        serialized(program)


def test_other_endings_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"ends in .stablehlo or .onnx"):
        _write(tmp_path / "m.tflite", small("DSSR"))
    (tmp_path / "bad.stablehlo").write_bytes(b"no model")
    with pytest.raises(WeightsError, match="not a StableHLO file"):
        opened(tmp_path / "bad.stablehlo")


def test_damaged_descriptions_and_those_of_other_files_are_refused(tmp_path):
    path = tmp_path / "m.stablehlo"
    _write(path, small("DANv2", iterations=1))
    right = json.loads((tmp_path / "m.stablehlo.json").read_text())
    for field, value in (("scale", 0), ("outputs", ["picture"]), ("least_side", "16"), ("layout", "NCWH")):
        (tmp_path / "m.stablehlo.json").write_text(json.dumps(right | {field: value}))
        with pytest.raises(WeightsError, match=f"{field} cannot be"):
            open_exported(path)
    (tmp_path / "m.stablehlo.json").write_text(json.dumps(right | {"scale": 3}))
    with pytest.raises(WeightsError, match="belongs to another file"):
        open_exported(path)(images(17, 20))


def test_a_damaged_program_is_refused_when_it_is_opened(tmp_path):
    model, path = small("DANv2", iterations=1), tmp_path / "m.stablehlo"
    _write(path, model)
    contents = bytearray(path.read_bytes())
    contents[1000::500] = bytes(255 - byte for byte in contents[1000::500])
    path.write_bytes(contents)
    with pytest.raises(WeightsError, match="not a StableHLO file"):
        open_exported(path)
