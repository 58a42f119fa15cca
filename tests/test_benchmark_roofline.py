"""Work is counted as by hand, operations are told apart, and the suite still fits the package."""

import re

import jax
import jax.numpy as jnp
import pytest

from benchmarks import run
from benchmarks.flops import FORWARD, PRODUCTS, TO_INPUT, TO_KERNEL, Work, work_of
from benchmarks.microbench import kernelnet_flop
from benchmarks.operation_times import WAITING, kinds_of, shares
from benchmarks.roofline import Ceilings, beside_ceilings
from blindsr_jax.networks import build, init_variables
from blindsr_jax.ops.convolution import convolve
from tests.benchmark_runs import SMALL, measured

PADDING = ((1, 1), (1, 1))


def _inputs(channels, features):
    return jnp.ones((2, 12, 10, channels)), jnp.ones((3, 3, channels, features))


def _loss(x, kernel):
    return (convolve(x, kernel, PADDING) ** 2).sum()


def test_a_convolution_in_a_loop_counts_at_every_turn():
    x, kernel = _inputs(4, 4)
    work = work_of(lambda x, k: jax.lax.fori_loop(0, 5, lambda _, y: convolve(y, k, PADDING), x), x, kernel)
    assert work.keys() == {FORWARD}
    assert work[FORWARD].flop == 5 * 2 * (2 * 12 * 10 * 4) * (9 * 4)
    assert work[FORWARD].bytes == 5 * 4 * (2 * x.size + kernel.size)


def test_matrix_products_and_what_no_one_needs():
    def two(a, b):
        _ = b.T @ a.T
        return a @ b

    work = work_of(two, jnp.ones((3, 5)), jnp.ones((5, 7)))
    assert {kind: part.flop for kind, part in work.items()} == {PRODUCTS: 2 * 3 * 5 * 7}


@pytest.mark.parametrize(("channels", "features"), [(4, 4), (64, 32), (24, 48)])
def test_both_gradients_of_a_convolution_cost_what_it_does(channels, features):
    """XLA's gradient to the kernel, and those by gathered patches of either side."""
    x, kernel = _inputs(channels, features)
    work = work_of(jax.value_and_grad(_loss, (0, 1)), x, kernel)
    forward = 2 * 9 * channels * features * 2 * 12 * 10
    assert {kind: part.flop for kind, part in work.items()} == dict.fromkeys((FORWARD, TO_INPUT, TO_KERNEL), forward)


def test_a_network_does_the_work_counted_by_hand():
    network = build("kernelnet", scale=4)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    lr = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
    work = work_of(lambda variables, lr: network.apply(variables, lr).kernel, shapes, lr)
    assert work[FORWARD].flop == pytest.approx(kernelnet_flop(64), rel=0.05)


def test_a_loop_without_known_length_is_refused():
    with pytest.raises(ValueError, match="how often"):
        work_of(lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x), jnp.ones((2, 2)))


@pytest.mark.usefixtures("compile_as_users")
@pytest.mark.parametrize("channels", [4, 64])
def test_operations_are_told_apart_in_a_compiled_gradient(channels):
    arguments = _inputs(channels, channels)
    compiled = jax.jit(jax.grad(_loss, (0, 1))).lower(*arguments).compile()
    kinds = kinds_of(compiled.as_text())
    assert {FORWARD, TO_INPUT, TO_KERNEL} <= set(kinds.values())
    loops = re.findall(r"%([\w.]+) = \S.* while\(", compiled.as_text())
    assert not kinds.keys() & set(loops)
    jax.block_until_ready(compiled(*arguments))
    parts = shares(compiled, arguments, repeats=1)
    assert sum(parts.values()) == pytest.approx(1)
    assert {FORWARD, TO_INPUT, TO_KERNEL, WAITING} <= parts.keys()


def test_nothing_of_a_forward_pass_is_a_gradient():
    x, kernel = _inputs(64, 64)
    kinds = kinds_of(jax.jit(lambda x, k: convolve(x, k, PADDING).swapaxes(0, 1)).lower(x, kernel).compile().as_text())
    assert FORWARD in kinds.values()
    assert not {TO_INPUT, TO_KERNEL} & set(kinds.values())


def test_the_ceiling_that_binds():
    machine = Ceilings(flop_per_second=100.0, bytes_per_second=10.0, rows=[])
    busy = beside_ceilings(Work(flop=400.0, bytes=20.0), 8.0, machine)
    assert (busy["binds"], busy["share_of_ceiling"], busy["flop_per_byte"]) == ("multiplying", 0.5, 20.0)
    moving = beside_ceilings(Work(flop=100.0, bytes=20.0), 8.0, machine)
    assert (moving["binds"], moving["share_of_ceiling"]) == ("memory", 0.25)


def test_one_size_for_each_program(tmp_path, capsys):
    assert run.main(["--suite", "roofline", "--sizes", "8", "--output", str(tmp_path / "x.json")]) == 1
    assert "one of the inference and one of the training step" in capsys.readouterr().err


@pytest.mark.drill
@pytest.mark.parametrize("name", ["danv1", "dssr"])
def test_roofline_suite(tmp_path, name):
    words = ["--sizes", "16", "8", "--repeats", "1", "--scale", "2", "--network", *SMALL[name]]
    tables = measured(tmp_path, "roofline", "--model", name, *words)["tables"]
    assert all(row.get("gflop_per_second", row.get("gb_per_second")) > 0 for row in tables["Ceilings"])
    assert [row["program"] for row in tables["Programs"]] == ["inference", "training step"]
    for row in tables["Programs"]:
        parts = [part for part in tables["Parts"] if part["program"] == row["program"]]
        assert sum(part["share"] for part in parts) == pytest.approx(1, abs=0.01)
        assert sum(part["seconds"] for part in parts) == pytest.approx(row["min_s"], rel=0.01)
