"""Same numbers as the authors' PyTorch code, at every unfolded step, from their own checkpoint files.

In CI each network at one scale; the others' layers have the same forms.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from blindsr_jax import losses
from blindsr_jax.inference.loading import load
from blindsr_jax.networks.chain import unstack_chains
from blindsr_jax.training.step import supervised_loss
from blindsr_jax.types import Degraded
from blindsr_jax.weights.official import load_official
from blindsr_jax.weights.torch_names import to_paths
from tests.conftest import drilled

TOLERANCE = 2e-4  # of the largest reference value, in float32


def _assert_close(got, want, name):
    error = np.abs(np.asarray(got).reshape(want.shape) - want).max() / np.abs(want).max()
    assert error <= TOLERANCE, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize(
    ("version", "scale"), [(1, 3), (2, 4), *(drilled(*others) for others in [(1, 2), (1, 4), (2, 2), (2, 3)])]
)
def test_every_unfolded_step(reference, version, scale):
    folder = reference / "networks"
    golden = np.load(folder / f"danv{version}_x{scale}_io.npz")
    trace = load(folder / f"danv{version}_x{scale}.pth")(golden["lr"], trace=True).trace
    _assert_close(trace.sr, golden["sr"], "sr")
    _assert_close(trace.kernel_code, golden["code"], "code")
    if version == 2:
        _assert_close(trace.kernel, golden["kernel"], "kernel")


@pytest.mark.parametrize("scale", [drilled(2), drilled(3), 4])
def test_every_step_of_dssr(reference, scale):
    folder = reference / "networks"
    golden = np.load(folder / f"dssr_x{scale}_io.npz")
    out = load(folder / f"dssr_x{scale}.pth")(golden["lr"], trace=True)
    _assert_close(out.trace.sr, golden["sr"], "sr")
    _assert_close(out.trace.detail, golden["detail"], "detail")
    _assert_close(out.sr, golden["sr_mean"], "mean")


@pytest.mark.drill
def test_loss_gradients_and_their_norm(reference):
    """test_golden.py has a smaller network with the same losses and gradients."""
    golden = np.load(reference / "networks" / "danv1_x4_train.npz")
    model = load(reference / "networks" / "danv1_x4.pth")
    constants = model.variables["constants"]
    # The golden file has the target as a code: this kernel's code is that target.
    kernel = jnp.asarray(golden["code"] @ model.pca_basis.T).reshape(-1, 21, 21)

    def loss(params):
        degraded = Degraded(lr=jnp.asarray(golden["lr"]), kernel=kernel)
        variables = {"params": params, "constants": constants}
        hr = jnp.asarray(golden["hr"])
        return supervised_loss(model.module, variables, hr, degraded, loss=losses.code_supervision, supervise="last")

    (_, parts), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model.variables["params"])
    np.testing.assert_allclose(parts["loss_sr"], golden["loss_sr"], rtol=1e-5)
    np.testing.assert_allclose(parts["loss_kernel"], golden["loss_kernel"], rtol=1e-5)
    np.testing.assert_allclose(optax.global_norm(grads), golden["grad_norm"], rtol=1e-4)
    wanted = {name[5:]: golden[name] for name in golden.files if name.startswith("grad/")}
    wanted, unknown = to_paths("danv1", 2, wanted)
    assert len(wanted) == 5
    assert not unknown
    grads = flatten_dict(unstack_chains(grads), sep="/")
    for path, want in wanted.items():
        _assert_close(grads[path], want, path)


def test_sizes_are_read_off_the_tensors(reference):
    sizes = load_official(reference / "networks" / "danv2_x4.pth").model
    assert sizes == {
        "name": "danv2",
        "scale": 4,
        "kernel_size": 31,
        "code_length": 15,
        "features": 64,
        "groups": 2,
        "blocks": 2,
        "estimator_features": 32,
        "estimator_blocks": 5,
    }
