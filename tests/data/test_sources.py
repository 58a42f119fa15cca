import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.data.pipeline import PatchSampler
from blindsr_jax.data.sources import SAMPLE_ROOT, FolderSource, open_source
from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.reading import image_size, read_rgb


def _save(path, size=(40, 30), mode="RGB", seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return pixels


def test_sample_photographs_are_few_small_and_declared():
    train, validation = open_source("sample"), open_source("sample", split="validation")
    assert 12 <= len(train) + len(validation) <= 20
    files = [path for path in SAMPLE_ROOT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6e6
    notice = (SAMPLE_ROOT / "NOTICE.md").read_text()
    for path in files:
        assert path.name == "NOTICE.md" or f"| `{path.parent.name}/{path.name}` | " in notice
    assert not set(train.names) & set(validation.names)
    assert train.read(0).shape == (720, 1440, 3)


def test_folder_is_read_with_its_tree(tmp_path):
    first = _save(tmp_path / "b" / "two.png", seed=1)
    _save(tmp_path / "one.JPG", seed=2)
    (tmp_path / "notes.txt").write_text("no image")
    source = FolderSource(tmp_path)
    assert source.names == ["b/two.png", "one.JPG"]
    np.testing.assert_array_equal(source.read(0), first)


def test_several_folders_and_patterns_are_joined(tmp_path):
    pixels = [_save(tmp_path / name, seed=seed) for seed, name in enumerate(("a/1.png", "b_x/1.png", "b_y/1.png"))]
    _save(tmp_path / "c" / "1.png")
    _save(tmp_path / "a" / "small.png", (5, 5))
    source = open_source("folder", f"{tmp_path}/a, {tmp_path}/b_*", smallest=20, repeats=(1, 3))
    assert source.names == ["0/1.png", "1/b_x/1.png", "1/b_y/1.png"]
    for index, image in enumerate(pixels):
        np.testing.assert_array_equal(source.read(index), image)
    assert len(source.left_out) == 1 and "small.png" in source.left_out[0]
    sampler = PatchSampler(source, 20, seed=0, augment=False, cache_bytes=1e6)
    visits = [0, 0, 0]
    windows = [np.lib.stride_tricks.sliding_window_view(image, (20, 20, 3)) for image in pixels]
    for n in range(7):  # an epoch: the first once, the others three times
        patch = sampler(n)
        visits[next(i for i, window in enumerate(windows) if (window == patch).all(axis=(3, 4, 5)).any())] += 1
    assert visits == [1, 3, 3]


def test_a_pattern_names_files_and_a_comma_may_belong_to_a_name(tmp_path):
    for name in ("a,b/1.png", "photo_1.png", "photo_2.png", "other.png"):
        _save(tmp_path / name)
    assert open_source("folder", str(tmp_path / "a,b")).names == ["1.png"]
    assert open_source("folder", str(tmp_path / "photo_*")).names == ["photo_1.png", "photo_2.png"]
    assert open_source("folder", str(tmp_path / "photo_1.png")).names == ["photo_1.png"]
    with pytest.raises(DataError, match="no file has such a name"):
        open_source("folder", str(tmp_path / "drawing_*"))
    with pytest.raises(DataError, match="3 repeats for 2 folders"):
        open_source("folder", f"{tmp_path},{tmp_path}", repeats=(1, 2, 3))


def test_bad_and_small_files_are_named_counted_and_left_out(tmp_path, caplog):
    _save(tmp_path / "good.png", (64, 64))
    _save(tmp_path / "small.png", (64, 20))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with caplog.at_level(logging.WARNING):
        source = FolderSource(tmp_path, smallest=32)
    assert source.names == ["good.png"]
    assert len(source.left_out) == 2
    assert "broken.png" in caplog.text
    assert "small.png: 64x20 pixels, smaller than the 32" in caplog.text
    assert "2 of 3 images" in caplog.text


def test_nothing_usable_is_an_error_that_says_why(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        FolderSource(tmp_path / "absent")
    with pytest.raises(DataError, match="no image in this folder"):
        FolderSource(tmp_path)
    _save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"none of its 1 images can be used.*small\.png"):
        FolderSource(tmp_path, smallest=100)
    with pytest.raises(DataError, match="sample, folder, div2k, shards"):
        open_source("imagenet")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    if mode == "I;16":
        Image.fromarray(np.full((4, 6), 65535, np.uint16)).save(path)
    else:
        _save(path, (6, 4), mode)
    image = read_rgb(path)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    if mode == "I;16":
        assert np.all(image == 255)


def test_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # rotate by 90 degrees clockwise to view
    _save(tmp_path / "turned.jpg", (40, 30), exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (40, 30, 3)


def test_damaged_files_say_so(tmp_path):
    _save(tmp_path / "cut.png", (200, 200))
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut\.png: cannot be read"):
        read_rgb(tmp_path / "cut.png")
    with pytest.raises(DataError, match="no such file"):
        read_rgb(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match="not an image"):
        read_rgb(tmp_path / "text.png")


@pytest.mark.parametrize("read", [read_rgb, image_size])
def test_huge_images_are_refused_by_their_header(tmp_path, read):
    header = struct.pack(">4sIIBBBBB", b"IHDR", 9000, 10001, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I4s", 0, b"IDAT")
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(DataError, match="9000x10001, larger than 90,000,000 pixels"):
        read(tmp_path / "big.png")


def test_a_file_is_a_list_of_itself(tmp_path):
    _save(tmp_path / "one.png")
    assert list_images(tmp_path / "one.png") == [tmp_path / "one.png"]


def test_div2k_not_prepared_gives_the_command(tmp_path):
    with pytest.raises(DataError) as error:
        open_source("div2k", str(tmp_path))
    assert f"tfds.builder('div2k/bicubic_x8', data_dir='{tmp_path}').download_and_prepare()" in str(error.value)
    assert "--config.data.source=folder" in str(error.value)


@pytest.mark.slow
def test_div2k_is_read_from_a_prepared_data_set(tmp_path):
    """The real reader on a small data set with DIV2K's features, written by tensorflow-datasets."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    images = [np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), np.uint8) for i in range(3)]
    rows = {"lr": [x[::8, ::8] for x in images], "hr": images}

    def examples():
        for lr, hr in zip(*rows.values()):
            yield {"lr": lr, "hr": hr}

    signature = {key: tf.TensorSpec((None, None, 3), tf.uint8) for key in rows}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="div2k",
        config="bicubic_x8",
        version="2.0.0",
        data_dir=tmp_path,
        split_datasets={"train": tf.data.Dataset.from_generator(examples, output_signature=signature)},
        features=tfds.features.FeaturesDict({key: tfds.features.Image(shape=(None, None, 3)) for key in rows}),
    )
    source = open_source("div2k", str(tmp_path))
    assert len(source) == len(source.names) == 3
    found = {source.read(i).shape[0]: source.read(i) for i in range(3)}
    for image in images:
        np.testing.assert_array_equal(found[image.shape[0]], image)
