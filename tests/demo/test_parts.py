"""The computations of the page, without a browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image, ImageCms

from blindsr_jax.demo import compare, handmade_kernels, model_choices, restoring, synthetic_test, uploads, views
from blindsr_jax.errors import DataError, OutOfMemory, WeightsError
from blindsr_jax.images.colour_profiles import ADOBE_RGB_GAMMA, ADOBE_RGB_PRIMARIES, Colours, profile_of
from blindsr_jax.images.reading import image_size
from blindsr_jax.inference.loading import from_bundle, load
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.shrinking import shrunk
from blindsr_jax.metrics import psnr
from blindsr_jax.pictures import from_unit
from blindsr_jax.weights.bundle import save_bundle
from blindsr_jax.weights.zoo import default_model
from tests.inference.conftest import tiny_bundle


@pytest.fixture(scope="module")
def model():
    return from_bundle(tiny_bundle())


@pytest.fixture
def picture(photo):
    return uploads.Picture("photo", photo)


def _finished(run):
    *progress, outcome = run
    assert all(isinstance(stage, restoring.Progress) for stage in progress)
    shares = [stage.share for stage in progress]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    return outcome


def _saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return str(path)


class TestUploads:
    def test_kind_is_kept(self, tmp_path):
        grey_alpha = np.random.default_rng(0).integers(0, 256, (20, 30, 2), dtype=np.uint8)
        upload = uploads.read_upload(_saved(tmp_path / "holiday.png", grey_alpha))
        assert upload.picture.name == "holiday" and upload.change == ""
        np.testing.assert_array_equal(upload.picture.pixels, grey_alpha)
        assert uploads.describe(upload) == "holiday, 30 × 20 pixels"

    def test_far_too_large_says_what_to_do_before_it_is_decoded(self, tmp_path, monkeypatch):
        path = _saved(tmp_path / "big.png", np.zeros((2000, 1000), np.uint8))
        monkeypatch.setattr(uploads, "MOST_MEGAPIXELS", 1)
        monkeypatch.setattr(uploads, "read_image", lambda path: pytest.fail("decoded"))
        with pytest.raises(DataError, match=r"big.png has 2 megapixels.*Shrink it, or use 'blindsr restore'"):
            uploads.read_upload(path)

    @pytest.mark.parametrize("shape", [(1000, 700), (999, 701, 3), (1000, 700, 4)])
    def test_large_ones_are_shrunk_as_a_whole_picture_is(self, tmp_path, shape, monkeypatch):
        pixels = np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)
        monkeypatch.setattr(uploads, "_ROWS", 40)
        upload = uploads.read_upload(_saved(tmp_path / "a.png", pixels), 0.1)
        assert (upload.size, upload.change) == (shape[:2], f"shrunk 3 times, from {shape[1]} × {shape[0]}")
        whole = from_unit(shrunk(pixels, 3), np.dtype(np.uint8))
        got = upload.picture.pixels.reshape(*upload.picture.pixels.shape[:2], -1)
        assert got.shape[:2] == (-(-shape[0] // 3), -(-shape[1] // 3))
        assert np.abs(np.int16(got) - np.int16(whole.reshape(got.shape))).max() <= 1

    @pytest.mark.parametrize(("centre", "top_left"), [((0, 0), (0, 0)), ((0.5, 0.5), (250, 175)), ((1, 1), (500, 350))])
    def test_a_part_has_the_full_size(self, tmp_path, centre, top_left):
        pixels = np.random.default_rng(0).integers(0, 256, (1000, 700), dtype=np.uint8)
        upload = uploads.read_upload(_saved(tmp_path / "a.png", pixels), 0.175, centre)
        top, left = top_left
        np.testing.assert_array_equal(upload.picture.pixels, pixels[top : top + 500, left : left + 350])
        assert "a part of 700 × 1000" in uploads.describe(upload)
        assert upload.view.shape == (1000, 700, 3) and (upload.view == 255).all(axis=2).any()

    @pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut"])
    def test_bad_file_is_named_without_its_folder(self, tmp_path, content):
        path = tmp_path / "bad.png"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"^bad.png: ") as caught:
            uploads.read_upload(str(path))
        assert str(tmp_path) not in str(caught.value)

    def test_damaged_file_is_named_without_its_folder(self, tmp_path):
        path = tmp_path / "half.png"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        whole = encoded(noise)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=r"^half.png: .*damaged") as caught:
            uploads.read_upload(str(path))
        assert str(tmp_path) not in str(caught.value)

    def test_too_small(self, tmp_path):
        with pytest.raises(DataError, match="15×40 pixels: too few"):
            uploads.read_upload(_saved(tmp_path / "thin.png", np.zeros((40, 15), np.uint8)))

    def test_byte_limit_lets_every_picture_within_the_limit_through(self):
        noise = np.random.default_rng(0).integers(0, 256, (500, 400, 4), dtype=np.uint8)
        assert len(encoded(noise, "tiff")) < uploads.most_bytes(0.2) < uploads.most_bytes(0.4)

    def test_samples_are_pictures_within_the_limit(self):
        assert len(uploads.samples()) >= 3
        assert all(uploads.read_upload(str(path)).change == "" for path in uploads.samples())


def encoded(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class TestKernels:
    def test_gaussian_is_wider_along_its_first_axis_and_turns_clockwise(self):
        level = handmade_kernels.gaussian(3, 1, 0, 21)
        upright = handmade_kernels.gaussian(3, 1, 90, 21)
        np.testing.assert_allclose(level.sum(), 1, rtol=1e-6)
        np.testing.assert_allclose(level, upright.T, atol=1e-6)
        assert level[10, 14] > 10 * level[14, 10]
        assert handmade_kernels.gaussian(3, 1, 45, 21)[14, 14] > 10 * handmade_kernels.gaussian(3, 1, 45, 21)[14, 6]

    @pytest.mark.parametrize("numbers", [(0, 1, 0), (1, float("nan"), 0), (1, -1, 0)])
    def test_gaussian_refuses(self, numbers):
        with pytest.raises(DataError, match="widths above 0"):
            handmade_kernels.gaussian(*numbers, 21)

    def test_drawing_is_centred_and_normalised(self):
        ink = np.zeros((21, 21))
        ink[3, 2:7] = 1
        kernel = handmade_kernels.drawn(json.dumps(ink.ravel().tolist()))
        expected = np.zeros((21, 21))
        expected[10, 8:13] = 0.2
        np.testing.assert_allclose(kernel, expected, atol=1e-6)

    @pytest.mark.parametrize(
        "cells",
        [
            "",
            "[]",
            "[0,0,0,0,0,0,0,0,0]",
            "nonsense",
            '{"a": 1}',
            "[1,1,1,1]",
            "[1,1]",
            "[1,null,1]",
            "[1e999]",
            "[" * 9**6,
            str([1] * 23**2),
            5,
        ],
    )
    def test_drawing_refuses(self, cells):
        with pytest.raises(DataError, match="drawing"):
            handmade_kernels.drawn(cells)

    def test_file(self, tmp_path):
        np.save(tmp_path / "k.npy", np.ones((5, 5)))
        np.testing.assert_allclose(handmade_kernels.from_file(str(tmp_path / "k.npy")), 1 / 25)
        np.save(tmp_path / "even.npy", np.ones((4, 4)))
        with pytest.raises(DataError, match=r"^even.npy: .*odd side"):
            handmade_kernels.from_file(str(tmp_path / "even.npy"))
        with pytest.raises(DataError, match="choose a kernel file"):
            handmade_kernels.from_file(None)


class TestSyntheticTest:
    def test_sizes_and_noise(self, picture):
        kernel = handmade_kernels.gaussian(1, 1, 0, 21)
        made = {
            noise: synthetic_test.blur_and_shrink(picture, kernel, scale=3, noise=noise, downsample="bicubic")
            for noise in (0.0, 20.0)
        }
        assert made[0.0].lr.shape == (32, 42, 3) and made[0.0].hr.shape == (96, 126, 3)
        np.testing.assert_array_equal(made[0.0].hr, picture.pixels[:96, :126])
        spread = np.std(np.float32(made[20.0].lr) - made[0.0].lr)
        assert 15 < spread < 21

    def test_too_small(self, picture):
        with pytest.raises(DataError, match="too few to be made 8 times smaller"):
            synthetic_test.blur_and_shrink(picture, np.ones((1, 1)), scale=8, noise=0, downsample="bicubic")

    @pytest.mark.parametrize("scale", [2, 4])
    def test_interpolation_lies_where_the_samples_do(self, picture, scale):
        kernel = handmade_kernels.gaussian(1.6, 1.6, 0, 21)
        scores = {}
        for downsample in ("bicubic", "s_fold"):
            made = synthetic_test.blur_and_shrink(picture, kernel, scale=scale, noise=0, downsample=downsample)
            for assumed in ("bicubic", "s_fold"):
                before = synthetic_test.interpolated(made.lr, scale, assumed)
                scores[downsample, assumed] = psnr(before, made.hr, 2 * scale)
        assert scores["bicubic", "bicubic"] > scores["bicubic", "s_fold"] + 0.2
        assert scores["s_fold", "s_fold"] > scores["s_fold", "bicubic"] + 0.2
        assert abs(scores["s_fold", "s_fold"] - scores["bicubic", "bicubic"]) < 1


class TestModelChoices:
    def test_packaged_ones_restore_and_pairs_are_joined(self):
        found = {choice.name: choice for choice in model_choices.find_model_choices()}
        pair = found["kernelnet+usrnet-tiny"]
        assert pair.scales == [2, 4] and all(model.estimates_kernel for model in pair.models.values())
        alone = found["usrnet-tiny"]
        assert alone.scales == [1, 2, 3, 4] and not any(model.estimates_kernel for model in alone.models.values())
        assert "kernelnet" not in found
        for choice in found.values():
            assert choice.title and choice.line
            assert all(model.restores and model.scale == scale for scale, model in choice.models.items())

    def test_the_first_is_that_of_the_command_line(self):
        first = model_choices.find_model_choices()[0]
        shared = load(default_model())
        assert first.scales[-1] == shared.scale and first.models[shared.scale].fingerprint == shared.fingerprint

    def test_given_ones_stand_first(self, tmp_path):
        path = tmp_path / "mine.safetensors"
        save_bundle(path, tiny_bundle(3))
        first = model_choices.find_model_choices([str(path)])[0]
        assert (first.title, first.scales) == ("mine.safetensors", [3])
        assert not first.models[3].takes_sigma and model_choices.kernel_side(first.models[3]) == 11

    def test_refused(self):
        with pytest.raises(DataError, match=r"only estimates kernels.*kernelnet-x2\+usrnet-tiny"):
            model_choices.find_model_choices(["kernelnet-x2"])
        with pytest.raises(WeightsError, match="no-such-model"):
            model_choices.find_model_choices(["no-such-model"])

    def test_nothing_to_offer(self, monkeypatch):
        monkeypatch.setattr(model_choices.zoo, "models", dict)
        with pytest.raises(DataError, match="--model"):
            model_choices.find_model_choices()


class TestRuns:
    def test_steps_end_with_the_result_of_restore(self, model, photo):
        outcome = _finished(restoring.run(model, photo))
        np.testing.assert_array_equal(outcome.image, model.restore(photo))
        assert len(outcome.steps) == model.module.iterations > 1
        np.testing.assert_array_equal(outcome.steps[-1].image, outcome.image)
        assert outcome.kernel.shape == (11, 11) and outcome.interpolated.shape == outcome.image.shape

    def test_known_kernel_needs_no_steps(self, model, photo):
        kernel = handmade_kernels.gaussian(1.5, 1.5, 0, 11)
        outcome = _finished(restoring.run(model, photo, kernel))
        np.testing.assert_array_equal(outcome.image, model.restore(photo, kernel=kernel))
        np.testing.assert_allclose(outcome.kernel, kernel, atol=1e-6)
        assert outcome.steps == []

    def test_large_ones_hear_of_every_band_and_keep_no_steps(self, model, photo, monkeypatch):
        monkeypatch.setattr(restoring, "STEPS", 0)
        stages = list(restoring.run(model, photo))
        shares = [stage.share for stage in stages[:-1]]
        assert len(shares) >= 4 and shares == sorted(shares) and shares[-1] == 1
        np.testing.assert_array_equal(stages[-1].image, model.restore(photo))
        assert stages[-1].steps == [] and stages[-1].kernel.shape == (11, 11)

    def test_without_memory_for_the_steps(self, model, photo, monkeypatch):
        call = Model.__call__

        def refuse_steps(model, lr, *, trace=False, **options):
            if trace:
                raise OutOfMemory("too little")
            return call(model, lr, **options)

        monkeypatch.setattr(Model, "__call__", refuse_steps)
        outcome = _finished(restoring.run(model, photo))
        np.testing.assert_array_equal(outcome.image, model.restore(photo))
        assert outcome.steps == []

    def test_stopping_frees_the_next_run(self, model, photo, monkeypatch):
        monkeypatch.setattr(restoring, "STEPS", 0)
        stopped = restoring.run(model, photo)
        for _ in range(3):
            next(stopped)
        stopped.close()
        assert _finished(restoring.run(model, photo)).image.shape == (192, 256, 3)

    @pytest.mark.slow
    def test_packaged_pair_undoes_a_known_blur(self, picture):
        pair = load("kernelnet-x2+usrnet-tiny")
        kernel = handmade_kernels.gaussian(1.4, 1.4, 0, model_choices.kernel_side(pair))
        made = synthetic_test.blur_and_shrink(picture, kernel, scale=2, noise=0, downsample=pair.downsample)
        outcome = _finished(restoring.run(pair, made.lr, made.kernel))
        assert len(outcome.steps) == 6
        np.testing.assert_allclose(outcome.steps[0].kernel, kernel, atol=1e-6)
        assert psnr(outcome.image, made.hr, 4) > psnr(outcome.interpolated, made.hr, 4) + 1


class TestViews:
    def test_the_detail_that_changed_most(self):
        before = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
        after = before.copy()
        after[600:700, 200:300] = 255 - after[600:700, 200:300]
        y, x = compare.most_changed(before, after)
        assert abs(y - 650) < 160 and abs(x - 250) < 160

    def test_pictures_of_any_size_are_compared(self, tmp_path, monkeypatch):
        monkeypatch.setattr(compare, "MOST_PIXELS", 10_000)
        after = np.full((300, 400, 3), 9, np.uint8)
        before = after.copy()
        before[280:, 380:] = 200
        shown = compare.comparison(before, after, tmp_path)
        sizes = sorted(image_size(path)[::-1] for path in tmp_path.iterdir())
        assert sizes == [(115, 86), (115, 86), (400, 300), (400, 300)]
        assert shown.count("<img") == 4 and str(tmp_path) in shown
        compare.sweep_views(tmp_path, 60)
        assert len(list(tmp_path.iterdir())) == 4
        compare.sweep_views(tmp_path, -1)
        assert list(tmp_path.iterdir()) == []

    def test_large_pictures_are_reduced_small_ones_are_not(self):
        noise = np.random.default_rng(0).integers(1, 256, (30, 40, 4), dtype=np.uint8)  # nothing is wholly transparent
        np.testing.assert_array_equal(views.shown(noise), noise[..., :3])
        reduced = views.shown(np.full((2000, 3000), 7, np.uint8))
        assert reduced.shape[0] * reduced.shape[1] <= views.MOST_PIXELS < 1.01 * reduced.shape[0] * reduced.shape[1]
        assert (reduced == 7).all()

    def test_colours_are_shown_in_srgb(self, tmp_path, photo):
        """The judge is LittleCMS by Pillow; of a grey picture, browsers would show the grey of its profile too."""
        wide = profile_of(Colours(ADOBE_RGB_PRIMARIES, ADOBE_RGB_GAMMA), grey=False)
        known = ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB")
        relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
        wanted = np.asarray(ImageCms.profileToProfile(Image.fromarray(photo), *known, relative, outputMode="RGB"))
        Image.fromarray(photo).save(tmp_path / "wide.png", icc_profile=wide)
        upload = uploads.read_upload(str(tmp_path / "wide.png"))
        assert np.abs(upload.view.astype(int) - wanted).max() <= 2 < np.abs(wanted.astype(int) - photo).max()
        np.testing.assert_array_equal(upload.picture.pixels, photo)
        dark = profile_of(Colours(gamma=1.0), grey=True)
        assert (views.shown(np.full((20, 30), 55, np.uint8), dark) == 128).all()  # linear light of 0.2157
        assert (views.shown(np.full((20, 30), 55, np.uint8), wide) == 55).all()
        assert (views.shown(np.full((20, 30, 3), 55, np.uint8), wide[:200]) == 55).all()

    def test_kernels_side_by_side(self):
        kernel = np.zeros((5, 5))
        kernel[2, 3] = 1
        row = views.kernel_row([("true <blur>", kernel), ("none", None), ("found", kernel)])
        pictures = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", row)]
        assert len(pictures) == 2 and "true &lt;blur&gt;, 5×5" in row
        drawn = np.asarray(Image.open(io.BytesIO(pictures[0])))
        block = drawn.shape[0] // 5
        assert drawn[2 * block, 3 * block] == 255 and drawn[2 * block, 2 * block] == 0
        assert views.kernel_row([("none", None)]) == ""

    def test_messages_show_text_as_text(self):
        assert views.message("<b>", "error") == '<p class="message error" role="alert">&lt;b&gt;</p>'
        assert views.message("") == ""
