"""The PyTorch networks that this package is timed beside are the authors': same checkpoints, same numbers.

They need PyTorch, which the package does not; without it these tests are skipped.
"""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks to compare with are written in PyTorch, which is absent")

from benchmarks.peers.torch_worker import all_steps, build, last_step, loss_of  # noqa: E402
from blindsr_jax.weights.official import load_official  # noqa: E402

TOLERANCE = 2e-4  # of the largest reference value, in float32


def _peer(path):
    """The network of an official checkpoint: its sizes as the package reads them, its tensors as PyTorch does."""
    network = build(**load_official(path).model)
    network.load_state_dict(torch.load(path, weights_only=True), strict=True)
    return network


def _nchw(x):
    return torch.from_numpy(np.array(x, np.float32)).permute(0, 3, 1, 2).contiguous()


def _assert_close(tensors, want, name):
    got = torch.stack(tensors).detach()
    if got.ndim == 5:
        got = got.permute(0, 1, 3, 4, 2)
    error = np.abs(got.numpy().reshape(want.shape) - want).max() / np.abs(want).max()
    assert error <= TOLERANCE, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "parts"), [("danv1", ("sr", "code")), ("danv2", ("sr", "code", "kernel")), ("dssr", ("sr", "detail"))]
)
def test_every_step_is_the_authors(reference, name, parts, scale):
    golden = np.load(reference / "networks" / f"{name}_x{scale}_io.npz")
    network = _peer(reference / "networks" / f"{name}_x{scale}.pth")
    with torch.no_grad():
        steps = all_steps(network, _nchw(golden["lr"]))
    for part in parts:
        _assert_close([step[part] for step in steps], golden[part], part)
    if name == "dssr":
        _assert_close([network.final_image(steps)], golden["sr_mean"][None], "mean")


@pytest.mark.parametrize(
    ("name", "parts", "levels"),
    [
        ("dcls_x2_setting2", {"sr": "sr_softmax", "kernel": "kernel_softmax"}, 1),
        ("dcls_x3", {"sr": "sr", "kernel": "kernel"}, 1),
        ("dcls_x4_setting2", {"sr": "sr", "kernel": "kernel"}, 1),
        *[(f"dasr_x{scale}", {"sr": "sr", "representation": "representation"}, 255) for scale in (2, 3, 4)],
    ],
)
def test_networks_of_one_pass_are_the_authors(reference, name, parts, levels):
    """The authors' DASR has images of 0 … 255."""
    golden = np.load(reference / "field" / f"{name}_io.npz")
    network = _peer(reference / "field" / f"{name}.pth")
    with torch.no_grad():
        found = network.step((), _nchw(golden["lr"]) / levels)[1]
    for part, there in parts.items():
        _assert_close([found[part] * (levels if part == "sr" else 1)], golden[there], part)


@pytest.mark.parametrize("supervised_steps", [all_steps, last_step])
def test_the_gradient_is_the_authors(reference, supervised_steps):
    """Also where the first steps are taken without gradient, as who knows PyTorch well would do."""
    golden = np.load(reference / "networks" / "danv1_x4_train.npz")
    network = _peer(reference / "networks" / "danv1_x4.pth")
    truth = {"sr": _nchw(golden["hr"]), "code": torch.from_numpy(golden["code"])}
    loss = loss_of(network, supervised_steps(network, _nchw(golden["lr"])), truth)
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss_sr"] + golden["loss_kernel"], rel=1e-5)
    norm = torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm()
    assert norm.item() == pytest.approx(float(golden["grad_norm"]), rel=1e-4)


def test_sizes_default_to_the_papers():
    """Parameters counted here and in the package, which has none of what only DASR's training needed."""
    from blindsr_jax.networks import build as build_ours
    from blindsr_jax.networks import init_variables

    for name in ("danv1", "danv2", "dssr", "dcls", "dasr"):
        shapes = jax.eval_shape(lambda name=name: init_variables(build_ours(name, scale=4), jax.random.key(0)))
        ours = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
        network = build(name, scale=4)
        if name == "dasr":
            encoder = network.E["encoder_q"]
            del encoder.mlp, network.G.sub_mean, network.G.add_mean
            encoder.E = torch.nn.Sequential(*(layer for layer in encoder.E if not hasattr(layer, "running_mean")))
        assert sum(parameter.numel() for parameter in network.parameters()) == ours
