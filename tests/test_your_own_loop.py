"""docs/your_own_loop.md, run from top to bottom."""

import pathlib
import re

import jax
import numpy as np
import pytest

from blindsr_jax import degradations, networks
from blindsr_jax.degradations.samplers import SAMPLERS
from blindsr_jax.degradations.steps import STEPS

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "your_own_loop.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's code leaves; what it registers is forgotten afterwards."""
    tables = SAMPLERS, STEPS, networks.MODELS
    before = [dict(table) for table in tables]
    names = {"__name__": "your_own_loop"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("own"))
        for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(code, "docs/your_own_loop.md", "exec"), names)
        yield names
    for table, entries in zip(tables, before):
        table.clear()
        table.update(entries)


def test_applying_the_module_is_calling_the_model(page):
    np.testing.assert_allclose(page["sr"], page["model"](page["lr"], iterations=2).sr, atol=1e-5)
    for other in ("each", "sharded"):
        np.testing.assert_allclose(page[other], page["sr"], atol=2e-5)
    assert len(page["sharded"].sharding.device_set) == jax.device_count()


def test_the_gradient_by_the_kernel_is_the_slope(page):
    kernel, slope, misfit = page["kernel"], page["slope"], page["misfit"]
    direction = slope / np.linalg.norm(slope)
    step = 3e-4 * direction
    measured = (misfit(kernel + step) - misfit(kernel - step)) / (2 * 3e-4)
    assert float(measured) == pytest.approx(float((slope * direction).sum()), rel=0.1)


def test_the_sampler_and_the_step_take_part(page):
    kernels = page["degraded"].kernel
    assert kernels.shape == (4, 11, 11)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    assert len({float(k.max()) for k in kernels}) == 4
    plain = tuple(step for step in page["steps"] if step.name != "vignette")
    without = degradations.degrade(jax.random.key(1), page["sr"], scale=2, steps=plain, kernel_size=11)
    np.testing.assert_array_equal(without.kernel, kernels)
    assert page["degraded"].lr.mean() < without.lr.mean()


def test_the_loss_falls_and_all_is_finite(page):
    assert page["history"][-1] < page["history"][0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(page["gradient"]))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(page["gradient"]))


def test_the_bundle_is_the_trained_network(page):
    loaded, state = page["loaded"], page["state"]
    want = page["network"].apply({"params": state.params, "constants": state.constants}, page["lr"])
    got = loaded(page["lr"])
    np.testing.assert_allclose(got.sr, want.sr, atol=1e-5)
    np.testing.assert_allclose(got.kernel, want.kernel, atol=1e-5)
    assert page["image"].shape == (48, 64, 3) and page["image"].dtype == np.uint8
