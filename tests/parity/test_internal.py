"""KernelGAN and ZSSR beside values of the authors' public code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.internal_learning import adam, crops, discriminator, estimated_kernels, generator, zssr_step
from blindsr_jax.internal_learning import kernelgan_losses as losses
from blindsr_jax.internal_learning.learning_rates import slope_of
from blindsr_jax.internal_learning.resampling import Sampling
from blindsr_jax.ops.resize import resize_taps
from blindsr_jax.ops.taps import along

_G = ["first_layer", *(f"feature_block.{i}" for i in range(4)), "final_layer"]
_D = ["first_layer", *(f"feature_block.{3 * i}" for i in range(5)), "final_layer.0"]
_NORMS = [f"feature_block.{3 * i + 1}" for i in range(5)]
_LOSSES = ["gan_g", "sum2one", "bicubic", "boundaries", "centralized", "sparse"]


@pytest.fixture(scope="module")
def kernelgan(reference):
    return dict(np.load(reference / "internal" / "kernelgan.npz"))


@pytest.fixture(scope="module")
def zssr(reference):
    return dict(np.load(reference / "internal" / "zssr.npz"))


def _close(found, wanted, of_largest=1e-5):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=of_largest * np.abs(wanted).max())


def _matrix(weight):
    """[out, in, h, w] as [h · w · in, out]."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _discriminator(values):
    weights = tuple(_matrix(values[f"D/{name}.weight_orig"]) for name in _D)
    biases = tuple(values[f"D/{name}.bias"] for name in _D)
    scales, shifts = (tuple(values[f"D/{name}.{kind}"] for name in _NORMS) for kind in ("weight", "bias"))
    return discriminator.Discriminator(weights, biases, scales, shifts)


def _vectors(values, group):
    def of_inputs(vector):
        return vector.reshape(3, 7, 7).transpose(1, 2, 0).ravel() if vector.size == 147 else vector

    return tuple((values[f"{group}/{n}.weight_u"], of_inputs(values[f"{group}/{n}.weight_v"])) for n in _D)


def test_the_generators_kernel_output_and_losses(kernelgan):
    weights = tuple(kernelgan[f"G/{name}.weight"].transpose(2, 3, 1, 0) for name in _G)
    network, vectors, crop = _discriminator(kernelgan), _vectors(kernelgan, "Dbuf"), jnp.asarray(kernelgan["g_in"][0])
    names = ("sum_to_one", "bicubic", "boundaries", "centralized", "sparse")
    lambdas = losses.LossWeights(**dict(zip(names, kernelgan["lambdas"].tolist())))

    def total(weights):
        kernel = generator.generator_kernel(weights)
        output = generator.generate(kernel, crop)
        answers, after = discriminator.discriminate(network, vectors, output)
        terms = losses.generator_losses(kernel, crop, answers, "sum")
        return losses.weighted(terms, lambdas), (kernel, output, answers, after, terms)

    (loss, (kernel, output, answers, after, terms)), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(
        weights
    )
    _close(kernel, kernelgan["kernel"])
    _close(output, kernelgan["g_out"][0])
    _close(answers, kernelgan["d_map_fake_for_g"][0, ..., 0])
    _close(losses.bicubic_target(crop, "sum"), kernelgan["bicubic_target"][0])
    _close(losses.boundary_mask(), kernelgan["boundary_mask"])
    for term, name in zip(terms, _LOSSES, strict=True):
        _close(term, kernelgan[f"loss_{name}"])
    _close(loss, kernelgan["loss_g_total"])
    for found, wanted in zip(after, _vectors(kernelgan, "Dbuf_after1")):
        _close(found[0], wanted[0])
        _close(found[1], wanted[1])
    for found, name in zip(gradient, _G):
        found, part = np.asarray(found).transpose(3, 2, 0, 1), f"G_grad/{name}.weight[:8]"
        whole = part not in kernelgan
        _close(found if whole else found[:8], kernelgan[f"G_grad/{name}.weight" if whole else part], 1e-4)


def test_the_discriminators_loss_and_gradient(kernelgan):
    vectors = _vectors(kernelgan, "Dbuf_after1")

    def total(network):
        real, after = discriminator.discriminate(network, vectors, jnp.asarray(kernelgan["d_in"][0]))
        fake, _ = discriminator.discriminate(network, after, jnp.asarray(kernelgan["fake_in"][0]))
        return losses.discriminator_loss(fake, real), (real, fake)

    # Operation by operation: one value before a ReLU is zero within rounding, and the fused program has its other sign,
    # which changes the gradients below it by 2 % of their largest value.
    network = jax.tree.map(jnp.asarray, _discriminator(kernelgan))
    (loss, (real, fake)), gradient = jax.value_and_grad(total, has_aux=True)(network)
    _close(loss, kernelgan["loss_d"])
    _close(real, kernelgan["d_map_real"][0, ..., 0])
    _close(fake, kernelgan["d_map_fake"][0, ..., 0])
    for found, name in zip(gradient.weights, _D):
        _close(found, _matrix(kernelgan[f"D_grad/{name}.weight_orig"]), 1e-4)
    for scale, shift, name in zip(gradient.scales, gradient.shifts, _NORMS):
        _close(scale, kernelgan[f"D_grad/{name}.weight"], 1e-4)
        _close(shift, kernelgan[f"D_grad/{name}.bias"], 1e-4)
    _close(gradient.biases[-1], kernelgan["D_grad/final_layer.0.bias"], 1e-4)


def test_maps_and_crops(kernelgan, zssr):
    image = kernelgan["image_shaved"] / 255
    gradients = crops.gradient_map(image)
    _close(gradients, kernelgan["gradient_map_big"])
    _close(crops.crop_probabilities(gradients, 26), kernelgan["probability_d"])
    coarse = crops.coarse_gradient_map(image)
    _close(coarse[::2, ::2], kernelgan["gradient_map_small"])
    _close(crops.crop_probabilities(coarse, 64), kernelgan["probability_g"])
    for size, index, *corner in kernelgan["crop_center_to_top_left"]:
        assert crops.crop_corners(np.array([index]), size, image.shape[:2]).tolist() == [corner]
    _close(crops.loss_map(zssr["image_corner"] / 255), zssr["loss_map_corner"][..., 0])


@pytest.mark.parametrize("i", range(3))
def test_cleaned_moved_and_squared_kernels(kernelgan, i):
    cleaned = estimated_kernels.significant(kernelgan[f"post{i}/raw"])
    _close(cleaned, kernelgan[f"post{i}/significant"])
    moved = estimated_kernels.to_block_centres(cleaned, 2)
    _close(moved, kernelgan[f"post{i}/kernel_x2"])
    _close(estimated_kernels.squared_scale(moved), kernelgan[f"post{i}/kernel_x4"])


def test_moved_kernels_of_both_scales(zssr):
    once = estimated_kernels.to_block_centres(zssr["kernel"], 2)
    _close(once, zssr["kernel_shifted_x2"])
    _close(estimated_kernels.to_block_centres(once, 2), zssr["kernel_shifted_x2_again"])
    _close(estimated_kernels.to_block_centres(zssr["kernel_x4"], 4), zssr["kernel_shifted_x4"])


@pytest.mark.parametrize("name", ["even", "odd"])
def test_interpolation_and_sampling_of_whole_pictures(zssr, name):
    image = zssr[f"resize/{name}"]
    sampling = Sampling(zssr["kernel_shifted_x2"], 2)
    _close(sampling.enlarge(image), zssr[f"resize/{name}_up_cubic"], 1e-6)
    rows, columns = (resize_taps(side, 0.5, "renormalise") for side in image.shape[:2])
    _close(along(along(image[None], rows, 1), columns, 2)[0], zssr[f"resize/{name}_down_cubic"], 1e-6)


def test_sampling_by_a_kernel(zssr):
    for scale, name in ((2, "down"), (4, "down4")):
        kernel = zssr[f"kernel_shifted_x{scale}"]
        found = Sampling(kernel, scale).degrade(zssr["resize/even"])
        _close(found, zssr[f"resize/even_{name}_kernel"], 2e-6)


def test_back_projection(zssr):
    lr = zssr["father"][:64, :64] / np.float32(255)
    sampling = Sampling(zssr["kernel_shifted_x2"], 2)
    _close(sampling.back_project(zssr["bp_sr"], lr, 1), zssr["bp_out"])


def test_zssrs_network_loss_gradient_and_updates(zssr):
    filters = tuple(zssr[f"filter_{i}"] for i in range(8))
    father, weights = zssr["father"] / np.float32(255), zssr["loss_map_crop"]
    kernel = zssr["kernel_shifted_x2"].astype(np.float32)
    matrices = Sampling(kernel, 2).matrices(64)
    son = zssr_step.son_of(father, kernel, 0.0, 2)
    _close(son, zssr["son"])
    enlarged = zssr_step.enlarge(son, *matrices)
    _close(enlarged, zssr["son_up"])
    _close(jax.jit(zssr_step.network)(filters, enlarged), zssr["net_output"])
    loss, gradient = jax.jit(jax.value_and_grad(zssr_step.loss_of))(filters, enlarged, father, weights)
    _close(loss, zssr["loss"])
    _close(gradient[0], zssr["grad_0"], 1e-4)
    _close(gradient[7], zssr["grad_7"], 1e-4)
    for i, one in enumerate(gradient):
        _close(np.linalg.norm(one), zssr[f"grad_norm_{i}"], 1e-4)
    found, filters, moments = [], tuple(map(jnp.asarray, filters)), jax.device_put(adam.no_moments(filters))
    noise, rate = np.zeros((64, 64, 3), np.float32), np.float32(1e-3)
    for i in range(4):
        if i == 3:
            _close(filters[0], zssr["filter_0_after3"], 1e-4)
            _close(filters[7], zssr["filter_7_after3"], 1e-4)
        filters, moments, loss = zssr_step.one_iteration(
            filters, moments, father, weights, kernel, matrices, noise, rate, scale=2
        )
        found.append(float(loss))
    np.testing.assert_allclose(found, zssr["losses_adam"], rtol=1e-5)


def test_the_line_of_the_learning_rates_policy(zssr):
    for *errors, slope, deviation, reduces in zssr["policy_cases"]:
        found = slope_of(range(0, 250, 50), errors, 4)
        np.testing.assert_allclose(found, (slope, deviation), rtol=1e-5)
        assert (-1.5 * found[0] < found[1]) == reduces
