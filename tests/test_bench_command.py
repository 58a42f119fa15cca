"""``blindsr bench``: a table, a file, and sizes that fail."""

import json

import pytest

from blindsr_jax.cli import main
from blindsr_jax.errors import OutOfMemory
from blindsr_jax.weights.bundle import save_bundle
from tests.inference.conftest import tiny_bundle

pytestmark = pytest.mark.usefixtures("nothing_compiled")


@pytest.fixture
def bundle(tmp_path):
    save_bundle(tmp_path / "tiny.safetensors", tiny_bundle())
    return str(tmp_path / "tiny.safetensors")


def test_a_line_for_each_size_and_the_same_in_the_file(bundle, tmp_path, capsys):
    words = ["--sizes", "9", "14", "9", "--repeats", "2", "-o", str(tmp_path / "deep" / "b.json")]
    assert main(["bench", "--model", bundle, *words]) == 0
    printed = capsys.readouterr()
    head, *lines = printed.out.splitlines()
    assert head.split("  ")[0] == "LR size"
    assert [line.split()[0] for line in lines] == ["9x9", "14x14"]
    assert "6/6" in printed.err
    text = (tmp_path / "deep" / "b.json").read_text()
    result = json.loads(text)
    assert (result["model"]["name"], result["model"]["scale"]) == ("tiny.safetensors", 2)
    assert result["model"]["precision"] == "float32"
    assert str(tmp_path) not in text
    for row, side in zip(result["sizes"], (9, 14), strict=True):
        assert (row["side"], len(row["seconds"])) == (side, 2)
        assert row["megapixels_per_second"] == pytest.approx(4e-6 * side**2 / row["median_seconds"])
        assert row["temporaries_bytes_per_pixel"] == pytest.approx(row["temporaries_bytes"] / (2 * side) ** 2)


def test_a_size_that_fails_is_named_and_the_others_go_on(bundle, capsys, monkeypatch):
    def restore_image(model, image, **options):
        if image.shape[0] == 8:
            raise OutOfMemory("not enough memory")

    monkeypatch.setattr("blindsr_jax.cli.timing.restore_image", restore_image)
    assert main(["bench", "--model", bundle, "--repeats", "1", "--sizes", "8", "12"]) == 1
    printed = capsys.readouterr()
    assert "blindsr: 8x8: not enough memory" in printed.err
    assert [line.split()[0] for line in printed.out.splitlines()[1:]] == ["12x12"]


def test_wrong_usage(bundle, capsys):
    assert main(["bench", "--model", "dpir-tv"]) == 2
    assert "say which with --scale" in capsys.readouterr().err
    assert main(["bench", "--model", bundle, "--scale", "3"]) == 2
    with pytest.raises(SystemExit):
        main(["bench", "--model", bundle, "--sizes", "0"])
