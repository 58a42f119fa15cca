"""ONNX files: the numbers of the model for every size, in onnxruntime."""

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.errors import DataError
from blindsr_jax.export.program import program_of
from blindsr_jax.export.writing import write_exported
from tests.conftest import drilled
from tests.export.networks import images, small

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")


def _write(path, model, **options):
    write_exported(path, model.module, model.variables, name="a", license="b", **options)


@pytest.mark.parametrize("kind", ["compact DAN", "KernelNet", *map(drilled, ("DSSR", "DANv1", "DANv2"))])
def test_a_file_gives_the_models_numbers_at_every_size(kind, tmp_path):
    model, path = small(kind), tmp_path / "m.onnx"
    _write(path, model, kernel=kind != "DSSR")
    session = onnxruntime.InferenceSession(path)
    for lr in [images(17, 23, batch=2)]:
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(None, {"lr": lr.transpose(0, 3, 1, 2)})))
        expected = model(lr)
        for name, wanted in (("image", expected.sr), ("kernel", expected.kernel)):
            assert (name in found) == (wanted is not None)
            if name == "image" and wanted is not None:
                np.testing.assert_allclose(found[name].transpose(0, 2, 3, 1), wanted, atol=1e-5)
            elif wanted is not None:
                np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_a_file_is_plain(tmp_path):
    _write(tmp_path / "m.onnx", small("DANv1", iterations=1))
    model = onnx.load(tmp_path / "m.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    (given,), (image,) = model.graph.input, model.graph.output
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim][1] == 3
    assert (given.name, image.name) == ("lr", "image")
    kinds = [node.op_type for node in model.graph.node]
    assert "DepthToSpace" in kinds and "LeakyRelu" in kinds and "Transpose" not in kinds
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(len(node.input) == 3 for node in convolutions)  # the bias is inside
    assert {entry.key: entry.value for entry in model.metadata_props}["least_side"] == "16"


def test_an_operation_without_a_form_is_named():
    from blindsr_jax.export.onnx_files import serialized

    model = small("DSSR")
    program = program_of(model.module, model.variables)._replace(function=lambda lr: (lr.sort(axis=-1),))
    with pytest.raises(DataError, match="DSSR cannot be exported for images of every size: the operation sort"):
        serialized(program, {})


@pytest.mark.parametrize("ending", ["onnx", "stablehlo"])
def test_restore_opens_what_export_writes(ending, tmp_path, capsys):
    model, path = small("DANv2", iterations=1), tmp_path / f"m.{ending}"
    _write(path, model, kernel=True)
    picture = (images(18, 21)[0] * 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    arguments = ["restore", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--model", str(path)]
    assert main(arguments) == 0
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "out.png")), model.restore(picture), atol=1)
    for option, message in (
        (["--iterations", "2"], "takes no kernel, number of iterations"),
        (["--spread"], "--spread: the exported DAN runs on one device"),
    ):
        main([*arguments, "--overwrite", *option])
        assert message in capsys.readouterr().err
    Image.fromarray(picture[:9]).save(tmp_path / "in.png")
    assert main([*arguments, "--overwrite"]) == 1
    assert "at least 16x16 pixels, not 21x9" in capsys.readouterr().err
    (tmp_path / f"m.{ending}.json").unlink()
    assert main(arguments) == 1
    assert "'blindsr export' writes it beside" in capsys.readouterr().err


def test_the_command(tmp_path, capsys):
    path = tmp_path / "dpir.onnx"
    assert main(["export", "dpir-tv", "-o", str(path)]) == 2
    assert "only networks that take images alone" in capsys.readouterr().err
    assert main(["export", "kernelgan-x2", "-o", str(tmp_path / "m.stablehlo")]) == 1
    assert "KernelGAN learns from each image" in capsys.readouterr().err
    (tmp_path / "m.stablehlo.json").write_text("{}")
    assert main(["export", "dan-lite-x4", "-o", str(tmp_path / "m.stablehlo")]) == 2
    assert "m.stablehlo.json: exists" in capsys.readouterr().err
    assert main(["export", "dan-lite-x4", "-o", str(tmp_path / "m.pt")]) == 2
    path.write_bytes(b"")
    assert main(["export", "dan-lite-x4", "-o", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
