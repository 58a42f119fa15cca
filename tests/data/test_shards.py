import itertools
import logging
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.data.pipeline import ImageCache, PatchSampler, patch_batches
from blindsr_jax.data.shard_manifest import read_manifest, verify_shards
from blindsr_jax.data.shard_writing import prepare_shards
from blindsr_jax.data.sources import FolderSource, open_source
from blindsr_jax.data.subimages import Cutting, Window
from blindsr_jax.errors import DataError

SMALL = Cutting(size=40, step=20, smallest=40)
SIZES = [(90, 60), (40, 40), (64, 100), (50, 130), (70, 70)]  # height and width


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Five photographs of noise, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "sub").mkdir()
    for i, size in enumerate(SIZES):
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / ("sub/4.png" if i == 4 else f"{i}.png"))
    return folder


@pytest.fixture(scope="module", params=["png", "raw"])
def shards(request, photographs, tmp_path_factory):
    """At least three shards of these photographs. Tests must not change them."""
    out = tmp_path_factory.mktemp(request.param) / "shards"
    _prepare(photographs, out, encoding=request.param)
    return out


def _prepare(photographs, out, encoding="png", per_shard=8, **changes):
    cutting = Cutting(**{"size": 40, "step": 20, "smallest": 40, "encoding": encoding} | changes)
    return prepare_shards(out, kind="folder", data=str(photographs), cutting=cutting, per_shard=per_shard)


def _expected(photographs):
    """Name, position and pixels of every sub-image in order, cut by plain slicing."""
    source = FolderSource(photographs)
    for name, image in zip(source.names, map(source.read, range(len(source)))):
        for top, left in itertools.product(*(sorted({*range(0, n - 39, 20), n - 40}) for n in image.shape[:2])):
            yield name, (top, left), image[top : top + 40, left : left + 40]


def _flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def _copy(shards, tmp_path):
    return shutil.copytree(shards, tmp_path / "copy")


def _files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_windows_are_those_of_the_fields_scripts():
    """BasicSR's extract_subimages cuts DIV2K's first image, 2040 by 1404 pixels, into 0001_s001 to 0001_s040."""
    windows = Cutting().windows(1404, 2040)
    assert len(windows) == 40
    assert windows[0] == (0, 0, 480, 480)
    assert windows[-1] == Window(1404 - 480, 2040 - 480, 480, 480)
    assert Cutting().windows(480, 480) == [(0, 0, 480, 480)]
    assert Cutting().windows(479, 2000) == []
    assert Cutting(smallest=300).windows(479, 2000) == [(0, 0, 479, 2000)]


@pytest.mark.parametrize("side", range(40, 101, 7))
def test_windows_reach_every_pixel(side):
    reached = np.zeros((side, 77), int)
    for top, left, height, width in SMALL.windows(side, 77):
        reached[top : top + height, left : left + width] += 1
    assert reached.shape == (side, 77)
    assert reached.all()


@pytest.mark.parametrize(
    ("values", "message"),
    [({"step": 0}, "step must be 1 to 480"), ({"step": 481}, "step"), ({"smallest": 500}, "smallest must be 1 to 480")],
)
def test_cuttings_that_lose_pixels_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        Cutting(**values)
    with pytest.raises(DataError, match="png, raw"):
        Cutting(encoding="jpeg")


@pytest.mark.slow
def test_tensorflow_datasets_reads_them(photographs, shards):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(shards)
    read = builder.as_data_source(split="train")
    expected = list(_expected(photographs))
    assert len(read) == len(expected) == builder.info.splits["train"].num_examples
    assert builder.info.splits["train"].num_shards >= 3
    for example, (name, place, image) in zip(read, expected):
        assert example["name"].decode() == name
        assert tuple(example["position"]) == place
        np.testing.assert_array_equal(example["image"], image)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_tensorflow_datasets_own_writer_writes_the_same_records(photographs, shards, tmp_path, encoding):
    """The builder also works with TFDS's writer, which cannot continue after an interruption."""
    from blindsr_jax.data.subimage_builder import HrSubImages

    cutting = Cutting(40, 20, 40, encoding)
    builder = HrSubImages(root=str(photographs), cutting=cutting, data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    theirs = {(x["name"], *x["position"]): x["image"] for x in builder.as_data_source(split="train")}
    expected = {(name.encode(), *place): image for name, place, image in _expected(photographs)}
    assert theirs.keys() == expected.keys()
    assert all(np.array_equal(theirs[key], expected[key]) for key in expected)


def test_source_reads_any_record_in_any_order(photographs, shards):
    source, expected = open_source("shards", str(shards), smallest=40), list(_expected(photographs))
    assert len(source) == len(set(source.names)) == len(expected)
    for index in np.random.default_rng(0).permutation(len(expected)):
        np.testing.assert_array_equal(source.read(index), expected[index][2])
    with pytest.raises(DataError, match="40x40 pixels are smaller than the 41 that are needed"):
        open_source("shards", str(shards), smallest=41)


def test_small_photographs_are_named_or_kept_whole(photographs, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        prepared = _prepare(photographs, tmp_path / "a", size=60, step=60, smallest=60)
    assert prepared.small == ["1.png", "3.png"]
    assert "left out 3.png: 130x50 pixels, smaller than 60" in caplog.text
    assert len(open_source("shards", tmp_path / "a")) == 2 + 4 + 4
    prepared = _prepare(photographs, tmp_path / "b", size=60, step=60, smallest=50)
    assert prepared.small == ["1.png"]
    source = open_source("shards", tmp_path / "b")
    assert [source.read(i).shape for i in range(len(source))].count((50, 130, 3)) == 1
    with pytest.raises(DataError, match="none of 5 photographs has 200 pixels"):
        _prepare(photographs, tmp_path / "c", size=200, smallest=200)


def test_a_damaged_photograph_is_named_and_the_others_written(photographs, tmp_path):
    folder = shutil.copytree(photographs, tmp_path / "photographs")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    prepared = _prepare(folder, tmp_path / "out")
    assert len(prepared.damaged) == 1
    assert "2.png: cannot be read" in prepared.damaged[0]
    source = open_source("shards", tmp_path / "out")
    expected = [image for name, _, image in _expected(photographs) if name != "2.png"]
    assert len(source) == len(expected)
    assert all(np.array_equal(source.read(i), image) for i, image in enumerate(expected))
    assert _prepare(folder, tmp_path / "out").damaged == prepared.damaged  # a second run reports them too


def test_a_byte_of_a_record_names_its_shard(shards, tmp_path, caplog):
    """`verify` and the stream both name the shard. The stream continues without the image."""
    copy = _copy(shards, tmp_path)
    shard = read_manifest(copy).shards[1]
    _flip(copy / shard.name, 2000)
    (problem,) = verify_shards(copy)
    assert shard.name in problem
    assert "SHA-256" in problem
    source = open_source("shards", copy)
    damaged = []
    for index in range(len(source)):
        try:
            source.read(index)
        except DataError as error:
            damaged.append((index, str(error)))
    ((index, message),) = damaged
    assert source.names[index].startswith(shard.name)
    assert f"{shard.name}: record" in message
    assert "hash mismatch" in message
    with caplog.at_level(logging.WARNING):
        image = ImageCache(source, 0, smallest=40).read(index)
    np.testing.assert_array_equal(image, source.read(index + 1))
    assert shard.name in caplog.text


def test_no_byte_of_a_record_changes_unseen(photographs, tmp_path):
    """Each read gives the image that was written or an error that names the shard."""
    _prepare(photographs, tmp_path / "out", per_shard=1000)
    (shard,) = read_manifest(tmp_path / "out").shards
    path, whole = tmp_path / "out" / shard.name, open_source("shards", tmp_path / "out")
    images = [whole.read(i) for i in range(len(whole))]
    offsets, seen = range(100, sum(image.size for image in images), 2503), 0
    for offset in offsets:
        _flip(path, offset)
        source = open_source("shards", tmp_path / "out")
        for i, image in enumerate(images):
            try:
                np.testing.assert_array_equal(source.read(i), image)
            except DataError as error:
                assert shard.name in str(error)
                seen += 1
        _flip(path, offset)
    assert seen == len(offsets)  # each flip damages one record
    assert verify_shards(tmp_path / "out") == []


@pytest.mark.parametrize("offset", [0, 63, -1, -40_000])
def test_verify_sees_every_byte(shards, tmp_path, offset):
    copy = _copy(shards, tmp_path)
    first = read_manifest(copy).shards[0]
    _flip(copy / first.name, offset)
    (problem,) = verify_shards(copy)
    assert first.name in problem


def test_lost_and_cut_shards_are_named_at_the_start(shards, tmp_path):
    copy = _copy(shards, tmp_path)
    first, second, *_ = read_manifest(copy).shards
    (copy / first.name).unlink()
    with (copy / second.name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError) as error:
        open_source("shards", copy)
    assert first.name in str(error.value)
    assert f"{second.name}: {second.bytes + 4:,} bytes, {second.bytes:,} were written" in str(error.value)
    assert len(verify_shards(copy)) == 2


def test_what_is_no_folder_of_shards_says_so(photographs, shards, tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.json.*blindsr data prepare"):
        open_source("shards", photographs)
    copy = _copy(shards, tmp_path)
    (copy / "dataset_info.json").unlink()
    with pytest.raises(DataError, match="still to be written"):
        open_source("shards", copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read"):
        verify_shards(copy)


def test_only_what_is_missing_is_written_again(photographs, shards, tmp_path):
    copy = _copy(shards, tmp_path)
    before = read_manifest(copy)
    kept, lost = copy / before.shards[0].name, copy / before.shards[1].name
    lost.unlink()
    when = kept.stat().st_mtime_ns
    _prepare(photographs, copy, encoding=before.settings["encoding"])
    assert kept.stat().st_mtime_ns == when
    assert read_manifest(copy) == before
    assert verify_shards(copy) == []


def test_an_interrupted_one_goes_on(photographs, shards, tmp_path, monkeypatch):
    out, read, times = tmp_path / "out", FolderSource.read, itertools.count()
    whole = read_manifest(shards)

    def interrupted(source, index):
        if next(times) == 3:
            raise KeyboardInterrupt
        return read(source, index)

    monkeypatch.setattr(FolderSource, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _prepare(photographs, out, encoding=whole.settings["encoding"])
    written = [path for path in out.iterdir() if "array_record" in path.name]
    assert 0 < len(written) < len(whole.shards)
    with pytest.raises(DataError, match="are still to be written"):
        open_source("shards", out)
    with pytest.raises(DataError, match="are still to be written"):
        verify_shards(out)
    times_written = {path: path.stat().st_mtime_ns for path in written}
    _prepare(photographs, out, encoding=whole.settings["encoding"])
    assert {path: path.stat().st_mtime_ns for path in written} == times_written
    assert read_manifest(out) == whole
    assert _files(out) == _files(shards)


_KILLED = """
import os, sys
import tensorflow_datasets as tfds
from blindsr_jax.data.shard_manifest import Shard
from blindsr_jax.data.shard_writing import prepare_shards
from blindsr_jax.data.subimages import Cutting

def killing(function, calls):
    def killed(*arguments):
        calls.pop()
        return function(*arguments) if calls else os.kill(os.getpid(), 9)
    return killed

if sys.argv[3] == "a shard":
    Shard.of_file = killing(Shard.of_file, [1, 2])
else:
    tfds.core.DatasetInfo.write_to_directory = killing(None, [1])
prepare_shards(sys.argv[2], kind="folder", data=sys.argv[1], cutting=Cutting(40, 20, 40), per_shard=8)
"""


@pytest.mark.slow
@pytest.mark.parametrize("writing", ["a shard", "metadata"])
def test_a_killed_one_goes_on_and_leaves_nothing_behind(writing, photographs, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    result = subprocess.run([sys.executable, "-c", _KILLED, photographs, killed, writing], capture_output=True)
    assert result.returncode == -9
    assert "dataset_info.json" not in _files(killed)
    _prepare(photographs, whole)
    assert len(set(_files(killed)) - set(_files(whole))) == 2, "its lock, and what it was writing"
    _prepare(photographs, killed)
    assert read_manifest(killed) == read_manifest(whole)
    assert _files(killed) == _files(whole)
    assert not [name for name in _files(whole) if name.startswith(".")]


def test_a_folder_of_something_else_is_left_alone(photographs, shards, tmp_path):
    with pytest.raises(DataError, match=r"size 40, now 60.*give another --out"):
        _prepare(photographs, _copy(shards, tmp_path), size=60)
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(DataError, match=r"holds something else"):
        _prepare(photographs, tmp_path)
    assert _files(tmp_path) == ["copy", "notes.txt"]
    more = shutil.copytree(photographs, tmp_path / "more")
    shutil.copy(more / "0.png", more / "new.png")
    with pytest.raises(DataError, match=r"photographs 5, now 6"):
        _prepare(more, tmp_path / "copy", encoding=read_manifest(shards).settings["encoding"])


def test_two_at_a_time_do_not_mix(photographs, tmp_path, monkeypatch):
    read, begun = FolderSource.read, []

    def read_while_another_begins(source, index):
        if not begun:
            begun.append(index)
            with pytest.raises(DataError, match="another process"):
                _prepare(photographs, tmp_path / "out")
        return read(source, index)

    monkeypatch.setattr(FolderSource, "read", read_while_another_begins)
    assert not _prepare(photographs, tmp_path / "out").damaged and begun


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_is_named_and_keeps_what_is_complete(photographs, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let tests mount a small disk")
    try:
        with pytest.raises(DataError, match=r"array_record-0000\d-of-0000\d: cannot be written .*No space left"):
            _prepare(photographs, disk / "out")
        assert not [name for name in _files(disk / "out") if "partial" in name]
        with pytest.raises(DataError, match=r"GiB of raw pixels are to be written.*--encoding png"):
            _prepare(photographs, disk / "raw", encoding="raw", step=5)
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        _prepare(photographs, disk / "out")
        assert verify_shards(disk / "out") == []
    finally:
        subprocess.run(["umount", disk], check=True)


def _stream(shards, count, cache_bytes=0.0, **options):
    sampler = PatchSampler(open_source("shards", shards), 16, seed=5, augment=True, cache_bytes=cache_bytes)
    batches = patch_batches(sampler, size=16, batch_size=8, workers=3, **options)
    return np.stack(list(itertools.islice(batches, count)))


@pytest.mark.slow
def test_the_stream_is_a_function_of_seed_and_step(shards):
    whole = _stream(shards, 7, cache_bytes=1e9)
    for start in (1, 2, 5):
        np.testing.assert_array_equal(_stream(shards, 2, start_step=start), whole[start : start + 2])
    for count in (2, 4):
        parts = [_stream(shards, 7, process_index=i, process_count=count) for i in range(count)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert len(np.unique(whole.reshape(56, -1), axis=0)) == 56


@pytest.mark.slow
def test_a_run_trains_from_them(shards):
    from blindsr_jax.training.setup import batches_of, training_source

    config = config_lib.default("dan_lite", scale=4)
    config.data.update(source="shards", root=str(shards), patch=8, batch_size=4)
    config_lib.validate(config)
    batch = next(batches_of(config, training_source(config), 0))
    assert batch.shape == (4, 32, 32, 3)
    config.data.patch = 16
    with pytest.raises(DataError, match="smaller than the 64 that are needed"):
        training_source(config)


@pytest.fixture
def div2k(photographs, tmp_path, monkeypatch):
    """A small DIV2K archive on the disk, since tests have no network. The download manager is the real one."""
    import hashlib

    import tensorflow_datasets as tfds

    from blindsr_jax.data import subimage_builder

    archive = tmp_path / "DIV2K_train_HR.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(4):
            file.write(photographs / f"{i}.png", f"DIV2K_train_HR/000{i}.png")
    content = archive.read_bytes()
    facts = tfds.download.checksums.UrlInfo(len(content), hashlib.sha256(content).hexdigest(), archive.name)
    monkeypatch.setattr(subimage_builder, "DIV2K_ZIPS", {"train": str(archive)})
    monkeypatch.setattr(subimage_builder.HrSubImages, "url_infos", {str(archive): facts})
    return archive


def _prepare_div2k(tmp_path):
    return prepare_shards(tmp_path / "out", kind="div2k", data=str(tmp_path / "tfds"), cutting=SMALL, per_shard=8)


@pytest.mark.slow
def test_div2k_comes_from_its_archive(photographs, div2k, tmp_path):
    _prepare_div2k(tmp_path)
    source = open_source("shards", tmp_path / "out")
    expected = [image for name, _, image in _expected(photographs) if "sub" not in name]
    assert len(source) == len(expected)
    assert all(np.array_equal(source.read(i), image) for i, image in enumerate(expected))


@pytest.mark.slow
def test_an_archive_of_another_checksum_is_refused(div2k, tmp_path):
    _flip(div2k, 100)
    with pytest.raises(DataError, match=r"DIV2K_train_HR\.zip: cannot be downloaded.*--source folder"):
        _prepare_div2k(tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_archives_have_recorded_checksums():
    """TFDS's checksums for DIV2K apply, so any other download is refused."""
    from blindsr_jax.data.subimage_builder import DIV2K_ZIPS, HrSubImages

    assert all(len(HrSubImages.url_infos[url].checksum) == 64 for url in DIV2K_ZIPS.values())
