import dataclasses
import io
import json
import zlib

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
from PIL import Image

from blindsr_jax import degradations, ops
from blindsr_jax.data.div2krk import Div2krkSource
from blindsr_jax.degradations import isotropic_gaussian, move_kernel
from blindsr_jax.degradations.noise_steps import Noise
from blindsr_jax.errors import ConfigError, DataError
from blindsr_jax.evaluation.protocols import (
    PROTOCOLS,
    anisotropic8,
    dasr9,
    div2krk,
    gaussian8,
    gaussian8_noise15,
    gaussian_width,
    s_fold_circular,
    shaken8,
    shaken8_circular,
    validation_protocol,
)
from blindsr_jax.evaluation.samples import StoredTests, SyntheticTests, make_lr, prepare_hr, synthetic_sample
from tests.conftest import drilled
from tests.evaluation.conftest import Images

photo_protocol = PROTOCOLS["photo"]  # the fixture ``photo`` is a picture


@pytest.mark.parametrize("protocol", [shaken8, shaken8_circular])
@pytest.mark.parametrize("scale", [2, 4])
def test_shaken_hands_are_as_wide_as_gaussians_and_no_gaussians(protocol, scale):
    made, round_ones = protocol(scale), gaussian8(scale)
    kernels = np.array([case.kernel for case in made.cases])
    assert [case.label.split(",")[0] for case in made.cases] == ["path", "disc", "path", "sum"] * 2
    assert made.downsample == ("bicubic" if protocol is shaken8 else "s_fold")
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-6)
    axis = np.arange(kernels.shape[1]) - kernels.shape[1] // 2
    for marginal in (kernels.sum(axis=1), kernels.sum(axis=2)):
        np.testing.assert_allclose(marginal @ axis, 0, atol=1e-3)
    variance = sum(marginal @ axis**2 for marginal in (kernels.sum(axis=1), kernels.sum(axis=2))) / 2
    low, high = {shaken8: {2: (0.8, 1.6), 4: (1.8, 3.2)}, shaken8_circular: {2: (1.2, 2.0), 4: (2.4, 4.0)}}[protocol][
        scale
    ]
    np.testing.assert_allclose(np.sqrt(variance), np.linspace(low, high, 8), atol=0.09)
    if protocol is shaken8:
        away = [np.abs(kernel - case.kernel).sum() for kernel, case in zip(kernels, round_ones.cases)]
        assert min(away) > (0.15 if scale == 2 else 0.4)
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        protocol(1)


def test_shaken_hands_stay_the_same():
    """Weights written down when the protocol was made: draws must not follow another version of NumPy."""
    kernels = [case.kernel for case in shaken8(4).cases]
    rows = [
        [2e-06, 7.8e-05, 0.000888, 0.009745, 0.050992, 0.042815, 0.003042],
        [0.01989, 0.01989, 0.01989, 0.01989, 0.01989, 0.01989, 0.01989],
        [0.016938, 0.018084, 0.014089, 0.009305, 0.008612, 0.010335, 0.011622],
    ]
    for kernel, row in zip((kernels[0], kernels[1], kernels[7]), rows):
        np.testing.assert_allclose(kernel[10, 7:14], row, atol=3e-6)


def test_gaussian8_is_the_published_protocol():
    for scale, low, high in [(2, 0.8, 1.6), (3, 1.35, 2.4), (4, 1.8, 3.2)]:
        protocol = gaussian8(scale)
        assert (protocol.name, protocol.border, protocol.downsample) == ("gaussian8", scale, "bicubic")
        np.testing.assert_allclose([case.sigma for case in protocol.cases], np.linspace(low, high, 8))
        assert all(case.kernel.shape == (21, 21) for case in protocol.cases)
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        gaussian8(1)


def test_dasr9_has_the_kernels_and_noises_of_its_table():
    """The kernels by the formula of the authors' code: a covariance of squared widths, x along the columns."""
    protocol = dasr9(4)
    assert (protocol.name, protocol.downsample, protocol.rounding, protocol.noise) == ("dasr9", "bicubic", "nearest", 0)
    assert [case.noise for case in protocol.cases] == [0] * 9 + [5] * 9 + [10] * 9
    for noise in (0, 1, 2):
        labels = [case.label.rsplit(", ", 1)[0] for case in protocol.cases[9 * noise : 9 * noise + 9]]
        assert labels[0] == "σ=2.0, 0.2, 0°"
        assert labels[5] == "σ=4.0, 1.5, 120°"
        assert labels[8] == "σ=4.0, 4.0, 180°"
    offsets = np.arange(21) - 10
    points = np.stack(np.meshgrid(offsets, offsets), axis=-1)
    for case in protocol.cases[:9]:
        turn = np.radians(case.degrees)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        inverse = np.linalg.inv(rotation @ np.diag(np.square(case.sigmas)) @ rotation.T)
        kernel = np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", points, inverse, points))
        np.testing.assert_allclose(case.kernel, kernel / kernel.sum(), atol=1e-6)
    steps = [protocol.steps_of(case) for case in protocol.cases[::9]]
    assert [[step.level for step in each if isinstance(step, Noise)] for each in steps] == [
        [(x, x)] for x in (0, 5, 10)
    ]
    with pytest.raises(ConfigError, match="defined for scale 4, not 2"):
        dasr9(2)


def test_gaussian_width_begins_without_any_blur():
    for scale, widest in [(2, 1.8), (3, 2.4), (4, 3.6)]:
        cases = gaussian_width(scale).cases
        assert [case.sigma for case in cases] == pytest.approx([0, widest / 3, 2 * widest / 3, widest])
        assert cases[0].kernel[10, 10] == 1
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        gaussian_width(1)


def test_anisotropic8_has_blurs_of_every_width_and_angle():
    for scale, size in [(2, 11), (3, 21), (4, 31)]:
        kernels = np.stack([case.kernel for case in anisotropic8(scale).cases])
        assert kernels.shape == (8, size, size)
        np.testing.assert_allclose(kernels.sum((1, 2)), 1, rtol=1e-5)
    offsets = np.arange(31) - 15
    spreads = [np.sqrt(np.einsum("nij,i->n", kernels, offsets**2)), np.sqrt(np.einsum("nij,j->n", kernels, offsets**2))]
    assert min(map(min, spreads)) < 1.5 < 4 < max(map(max, spreads))
    tilts = np.einsum("nij,i,j->n", kernels, offsets, offsets)
    assert (tilts > 0.5).sum() >= 2 and (tilts < -0.5).sum() >= 2
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        anisotropic8(1)


def test_setting_2_is_validated_on_rotated_blurs():
    assert validation_protocol(2, anisotropic=True) == anisotropic8(2)
    assert validation_protocol(2) == gaussian8(2)
    assert validation_protocol(1, anisotropic=True) == validation_protocol(1)
    noisy = validation_protocol(2, noise=7.5)
    assert (noisy.name, noisy.noise, noisy.cases) == ("gaussian8 with noise of 7.5/255", 7.5, gaussian8(2).cases)


def test_a_subset_says_that_it_is_one():
    part = gaussian8(4).subset(2)
    assert part.name == "gaussian8, 2 of 8 widths"
    assert [case.sigma for case in part.cases] == pytest.approx([1.8, 3.2])
    assert gaussian8(4).subset(8) == gaussian8(4)
    assert len(gaussian8(4).subset(1).cases) == 1


def test_protocols_are_values_that_can_be_written_down():
    kernels = {"k": np.random.default_rng(0).uniform(size=(5, 5))}
    for make in (
        lambda: gaussian8(2),
        lambda: anisotropic8(2),
        lambda: dasr9(4),
        lambda: div2krk(4),
        lambda: s_fold_circular(3, kernels),
    ):
        assert make() == make()
        assert hash(make()) == hash(make())
        json.dumps(dataclasses.asdict(make()))
        with pytest.raises(dataclasses.FrozenInstanceError):
            make().scale = 4


def test_lr_is_blurred_sampled_and_rounded(reference):
    """By the operators that equal the authors' code (see tests of ops and degradations)."""
    golden = np.load(reference / "degradation.npz")
    protocol = gaussian8(4)
    kernel = protocol.cases[3].kernel
    blurred = ops.blur(jnp.float32(golden["hr"][:1]) / 255, jnp.asarray(kernel)[None])
    want = np.round(np.clip(ops.imresize(blurred, 1 / 4), 0, 1) * 255)
    np.testing.assert_array_equal(make_lr(golden["hr"][0], protocol, kernel), want[0])


def test_s_fold_circular_keeps_the_upper_left_pixel_of_a_wrapped_blur(photo):
    kernel = np.random.default_rng(1).uniform(size=(7, 7))
    kernel /= kernel.sum()
    protocol = s_fold_circular(3, {"mine": kernel})
    assert protocol.rgb
    sample = next(iter(SyntheticTests(Images(photo), protocol).open(0).samples))
    assert (sample.case, sample.sigma, sample.hr.shape) == ("mine", None, (96, 126, 3))
    np.testing.assert_allclose(sample.kernel, kernel, rtol=1e-6)
    blurred = [scipy.ndimage.correlate(np.float64(sample.hr[..., c]), kernel, mode="wrap") for c in range(3)]
    want = np.round(np.stack(blurred, axis=-1)[::3, ::3])
    assert np.mean(sample.lr != want) < 1e-3  # ties in rounding


@pytest.mark.parametrize(("image", "scale"), [(30, 2), (99, 4)] + [drilled(i, s) for i in (44, 54) for s in (2, 4)])
def test_files_of_div2krk_are_made_again_to_the_last_bit(benchmarks, image, scale):
    source = Div2krkSource(benchmarks / "DIV2KRK_dev", scale)
    (sample,) = StoredTests(source, div2krk(scale)).open(source.names.index(f"im_{image}.png")).samples
    assert sample.remade == 1.0


@pytest.mark.parametrize("image", [30, 44, 99])
def test_corners_of_div2krk_equal_the_golden_file(reference, image):
    golden = np.load(reference / "internal" / "div2krk.npz")
    kernel, hr, lr = (golden[f"im{image}_x2/{name}"] for name in ("kernel", "hr_corner", "lr_file_corner"))
    np.testing.assert_allclose(move_kernel(kernel, 0.5), golden[f"im{image}_x2/kernel_applied"], atol=1e-12)
    np.testing.assert_array_equal(degradations.div2krk_lr(hr, kernel, 2)[:122, :122], lr)


def test_a_file_of_div2krk_that_was_compressed_is_noticed(tmp_path, photo):
    kernel = np.asarray(isotropic_gaussian(1.2, 11), np.float64)
    lr = degradations.div2krk_lr(photo, kernel, 2)
    for folder, picture in (("gt", photo), ("lr_x2", lr)):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture).save(tmp_path / folder / "im_1.png")
    (tmp_path / "gt_k_x2").mkdir()
    scipy.io.savemat(tmp_path / "gt_k_x2" / "kernel_1.mat", {"Kernel": kernel})

    def remade():
        (sample,) = StoredTests(Div2krkSource(tmp_path, 2), div2krk(2)).open(0).samples
        return sample.remade

    assert remade() == 1.0
    Image.fromarray(lr // 4 * 4).save(tmp_path / "lr_x2" / "im_1.png")
    assert remade() < 0.3


def test_div2krk_trials_have_centred_kernels(benchmarks):
    source = Div2krkSource(benchmarks / "DIV2KRK_dev", 4)
    index = source.names.index("im_68.png")  # its file is 0.08 pixels off
    (sample,) = StoredTests(source, div2krk(4)).open(index).samples
    assert (sample.hr.shape[0], sample.hr.shape[1]) == (4 * sample.lr.shape[0], 4 * sample.lr.shape[1])
    assert abs(np.subtract(scipy.ndimage.center_of_mass(source.read(index).kernel), 15)).max() > 0.05
    np.testing.assert_allclose(scipy.ndimage.center_of_mass(sample.kernel), 15, atol=0.01)
    with pytest.raises(ConfigError, match="2 and 4, not 3"):
        div2krk(3)


def test_hr_is_cropped_to_the_scale():
    hr = np.zeros((103, 90, 3), np.uint8)
    assert prepare_hr(hr, 4).shape == (100, 88, 3)
    assert prepare_hr(hr, 3, crop=50).shape == (48, 48, 3)


def test_a_kernel_larger_than_the_image_is_named():
    protocol = s_fold_circular(2, {"wide": np.full((41, 41), 1 / 1681)})
    with pytest.raises(DataError, match="too large"):
        synthetic_sample("x", np.zeros((16, 16, 3), np.uint8), protocol, protocol.cases[0])


def test_a_fingerprint_tells_protocols_apart():
    kernel = np.full((3, 3), 1 / 9)
    protocols = [gaussian8(2), gaussian8(3), gaussian_width(2), gaussian8(2).subset(4)]
    protocols += [s_fold_circular(2, {"a": k}) for k in (kernel, kernel + 1e-9 * np.eye(3))]
    protocols += [s_fold_circular(2, {"a": kernel, "b": kernel}, one_kernel_per_image=one) for one in (False, True)]
    assert len({protocol.fingerprint for protocol in protocols}) == len(protocols)
    assert s_fold_circular(2, {"a": kernel}).fingerprint == protocols[4].fingerprint


def test_noise_is_as_strong_as_promised_and_the_same_each_time(photo):
    protocol = gaussian8_noise15(2)
    noisy, again, other = (synthetic_sample("a", photo, protocol, protocol.cases[i]).lr for i in (3, 3, 4))
    clean, of_other = (synthetic_sample("a", photo, gaussian8(2), protocol.cases[i]).lr for i in (3, 4))
    middle = (clean > 60) & (clean < 195)  # where noise is not clipped
    noise, others = noisy.astype(float) - clean, other.astype(float) - of_other
    assert abs(noise[middle].std() - 15) < 0.5
    assert abs(np.corrcoef(noise.ravel(), others.ravel())[0, 1]) < 0.05
    np.testing.assert_array_equal(again, noisy)
    np.testing.assert_array_equal(make_lr(prepare_hr(photo, 2), protocol, protocol.cases[3].kernel), clean)


def test_photo_has_every_combination_of_blur_noise_and_compression():
    for scale, widest in [(2, 1.3), (3, 1.95), (4, 2.6)]:
        cases = photo_protocol(scale).cases
        assert len({case.label for case in cases}) == len(cases) == 24
        assert sorted({case.sigma for case in cases}) == pytest.approx([0, widest * 9 / 13, widest])
        assert {case.noise for case in cases} == {0, 10}
        assert {case.quality for case in cases} == {None, 90, 70, 40}
    assert photo_protocol(4).cases[0].label == "σ=0.00, noise 0, no JPEG"
    assert photo_protocol(4).cases[-1].label == "σ=2.60, noise 10, JPEG 40"
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        photo_protocol(1)
    part = photo_protocol(4).subset(8)
    assert part.name == "photo, 8 of 24 cases"
    for name in ("sigma", "noise", "quality"):
        everything = {getattr(case, name) for case in photo_protocol(4).cases}
        assert {getattr(case, name) for case in part.cases} == everything, "also in a part"


def test_photo_compresses_as_pillow_does_after_noise_that_is_the_same_each_time(photo):
    protocol = photo_protocol(2)
    samples = {case: synthetic_sample("a", photo, protocol, case) for case in protocol.cases[8:16]}
    for case, sample in samples.items():
        assert (sample.case, sample.sigma) == (case.label, case.sigma)
        np.testing.assert_array_equal(sample.lr, synthetic_sample("b", photo, protocol, case).lr)
        if case.quality is None:
            continue
        plain = dataclasses.replace(case, quality=None)
        seed = (zlib.crc32(np.ascontiguousarray(sample.hr), zlib.crc32(str(sample.hr.shape).encode())),)
        before = make_lr(sample.hr, protocol, case.kernel, plain, (*seed, zlib.crc32(case.label.encode())))
        file = io.BytesIO()
        Image.fromarray(before).save(file, "JPEG", quality=case.quality)
        np.testing.assert_array_equal(sample.lr, np.asarray(Image.open(file)))
    clean, noisy = (next(t.lr for c, t in samples.items() if (c.noise, c.quality) == (n, None)) for n in (0, 10))
    middle = (clean > 60) & (clean < 195)
    assert abs((noisy.astype(float) - clean)[middle].std() - 10) < 0.5
