"""DCLS: same numbers as the authors' PyTorch code, from their own checkpoint files."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from blindsr_jax import load, losses
from blindsr_jax.degradations import reformulated_kernel
from blindsr_jax.networks.chain import unstack_chains
from blindsr_jax.training.step import supervised_loss
from blindsr_jax.types import Degraded
from blindsr_jax.weights.torch_names import to_paths

NETWORKS, GRADIENTS = 2e-4, 1e-3  # of the largest reference value, in float32


def _assert_close(got, want, name, tolerance=NETWORKS):
    error = np.abs(np.asarray(got).reshape(want.shape) - want).max() / np.abs(want).max()
    assert error <= tolerance, f"{name}: relative error {error:.1e}"


def _flipped(kernels):
    """The authors' are convolution kernels."""
    return np.asarray(kernels)[..., ::-1, ::-1]


@pytest.mark.parametrize(
    ("name", "variant"), [("dcls_x2_setting2", "_softmax"), ("dcls_x3", ""), ("dcls_x4_setting2", "")]
)
def test_image_and_kernel_of_dcls(reference, name, variant):
    golden = np.load(reference / "field" / f"{name}_io.npz")
    out = load(reference / "field" / f"{name}.pth")(golden["lr"], trace=True)
    _assert_close(_flipped(out.kernel), golden[f"kernel{variant}"], "kernel")
    _assert_close(out.trace.sr[0], golden[f"sr{variant}"], "sr")


def test_the_parts_of_dcls(reference):
    """Of the ×2 network without the softmax, which no official file asks for, and of an odd size."""
    golden, plain = (np.load(reference / "field" / f"dcls_x2_{name}.npz") for name in ("odd", "setting2_io"))
    model = load(reference / "field" / "dcls_x2_setting2.pth")
    network = model.module.clone(kernel_softmax=False)

    def kernel(variables, lr):
        bound = network.bind(variables)
        return bound.kernel_of(bound.pooled_of({"latent": bound.estimator.latent_map(lr)}))

    _assert_close(_flipped(jax.jit(kernel)(model.variables, plain["lr"])), plain["kernel"], "kernel without softmax")
    model = load(reference / "field" / "dcls_x2.pth")

    def parts(variables, lr):
        bound = model.module.bind(variables)
        restorer, pooled = bound.restorer, bound.pooled_of(bound.maps(lr))
        deconvolution, (_, features) = restorer.deconvolution, restorer.features_of(lr)
        return {
            "latent": bound.estimator.latent(pooled["latent"])[:, 0, 0],
            "plain": restorer.plain(features),
            "reduced": deconvolution.reduce(features),
            "smooth": deconvolution.smoothness_filters(pooled["smoothness"]),
            "deconvolved": deconvolution.deblurred(features, bound.kernel_of(pooled), pooled["smoothness"]),
        }

    for name, got in jax.jit(parts)(model.variables, golden["lr"]).items():
        _assert_close(got, golden[name], name)


def test_loss_and_gradients_of_dcls(reference):
    golden, model = np.load(reference / "field" / "dcls_x4_train.npz"), load(reference / "field" / "dcls_x4.pth")
    kernel = reformulated_kernel(golden["lr_clean"], golden["lr_blurred"], 21)
    _assert_close(_flipped(kernel), golden["kernel_target"], "kernel target")

    def loss(params):
        degraded = Degraded(lr=jnp.asarray(golden["lr"]), kernel=jnp.asarray(golden["blur_kernel"]))
        variables, hr = {"params": params, "constants": {}}, jnp.asarray(golden["hr"])
        return supervised_loss(model.module, variables, hr, degraded, loss=losses.kernel_supervision, supervise="last")

    (_, parts), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model.variables["params"])
    np.testing.assert_allclose(parts["loss_sr"], golden["loss_sr"], rtol=1e-5)
    np.testing.assert_allclose(parts["loss_kernel"], golden["loss_kernel"], rtol=1e-4)
    for name in ("restorer", "estimator"):  # each is trained by its own term alone
        np.testing.assert_allclose(optax.global_norm(grads[name]), golden[f"grad_norm_{name}"], rtol=1e-4)
    wanted, unknown = to_paths("dcls", 2, {name[5:]: golden[name] for name in golden.files if name[:5] == "grad/"})
    assert len(wanted) == 8
    assert not unknown
    grads = flatten_dict(unstack_chains(grads), sep="/")
    for path, want in wanted.items():
        _assert_close(grads[path], want, path, GRADIENTS)
