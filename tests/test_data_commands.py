import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.data.shard_manifest import read_manifest
from blindsr_jax.data.sources import open_source


def _data(*arguments):
    return main(["data", *map(str, arguments)])


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i, size in enumerate([(70, 90), (50, 50), (20, 90)]):
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def _prepare(photographs, out, *more):
    return _data("prepare", "--source", "folder", "--data", photographs, "--out", out, "--size", 50, *more)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_prepare_writes_what_training_reads(photographs, tmp_path, capsys, encoding):
    assert _prepare(photographs, tmp_path / "shards", "--encoding", encoding) == 0
    told = capsys.readouterr().out
    assert "7 sub-images of 2 photographs in 1 shards" in told
    assert "1 photographs left out" in told
    assert f"--config.data.source=shards --config.data.root={tmp_path / 'shards'}" in told
    source = open_source("shards", tmp_path / "shards")
    image = np.asarray(Image.open(photographs / "0.png"))
    np.testing.assert_array_equal(source.read(5), image[20:70, 40:90])  # steps of 25, and flush with both borders
    assert read_manifest(tmp_path / "shards").settings["encoding"] == encoding


def test_the_same_command_again_changes_nothing(photographs, tmp_path, capsys):
    for _ in range(2):
        assert _prepare(photographs, tmp_path / "shards", "--step", 50, "--smallest", 20) == 0
        told = capsys.readouterr().out
        assert "6 sub-images of 3 photographs" in told
        written = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*array_record*")}
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_damaged_photographs_are_named_and_the_code_is_one(photographs, tmp_path, capsys):
    (photographs / "9.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert _prepare(photographs, tmp_path / "shards") == 1
    told = capsys.readouterr()
    assert "9.png: cannot be read" in told.err
    assert "7 sub-images of 2 photographs" in told.out


def test_verify_names_the_damaged_shard(photographs, tmp_path, capsys):
    _prepare(photographs, tmp_path / "shards")
    assert _data("verify", tmp_path / "shards") == 0
    assert "all 1 shards are as they were written" in capsys.readouterr().out
    (shard,) = read_manifest(tmp_path / "shards").shards
    data = bytearray((tmp_path / "shards" / shard.name).read_bytes())
    data[1000] ^= 1
    (tmp_path / "shards" / shard.name).write_bytes(data)
    assert _data("verify", tmp_path / "shards") == 1
    assert f"{shard.name}: damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "--source", "folder", "--out", "out"], "--data DIR"),
        (
            ["prepare", "--source", "folder", "--data", "absent", "--out", "out"],
            "absent: there is no such file",
        ),
        (["prepare", "--source", "folder", "--data", ".", "--out", "out"], "no image in this folder"),
        (["prepare", "--source", "folder", "--data", ".", "--out", "out", "--step", "481"], "step must be 1 to 480"),
        (["verify", "absent"], "no shards here"),
    ],
)
def test_mistakes_are_named(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    usage = message in ("--data DIR", "step must be 1 to 480")
    assert _data(*arguments) == (2 if usage else 1)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
