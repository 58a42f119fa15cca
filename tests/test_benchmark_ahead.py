"""What compilers of accelerators say of a program, and one program that the TPU's compiles."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks.hlo_cycles import Hiding, cycles_by_part, hiding_of, part_of_network
from benchmarks.hlo_kernels import kernels_of

ROOT = pathlib.Path(__file__).parents[1]
PARAMETERS = {"restorer": {"head": 0, "body": 0}, "estimator": {"out": 0}}
HLO = """
%condition.1 (state: (s32[], f32[2])) -> pred[] {
  %limit = s32[]{:T(128)} constant(3)
  ROOT %below = pred[] compare(%count, %limit), direction=LT
}
%open.1 (state: (s32[], f32[2])) -> pred[] {
  ROOT %below = pred[] compare(%count, %bound), direction=LT
}
%inner.1 (state: (s32[], f32[2])) -> (s32[], f32[2]) {
  %f = f32[2] fusion(%x), metadata={op_name="jit(step)/DAN/restorer/body/add"}, backend_config={"estimated_cycles":"5"}
}
%outer.1 (state: (s32[], f32[2])) -> (s32[], f32[2]) {
  %loop = (s32[], f32[2]) while(%state), condition=%condition.1, body=%inner.1
  %f = f32[2] fusion(%x), metadata={op_name="jit(step)/add"}, backend_config={"estimated_cycles":"7"}
}
ENTRY %main.1 (x: f32[2]) -> f32[2] {
  %loop = (s32[], f32[2]) while(%state), condition=%condition.1, body=%outer.1
  %once = (s32[], f32[2]) while(%state), condition=%open.1, body=%inner.1
}
"""


def test_the_bodies_of_loops_are_counted_as_often_as_they_run():
    cycles, unknown = cycles_by_part(HLO, lambda name: part_of_network(name, PARAMETERS))
    assert cycles == {"restorer/body": 3 * 3 * 5 + 5, "degradation, loss and update": 3 * 7}
    assert unknown == 1  # the condition without a constant


KERNELS = """
%condition.1 (state: (s32[], f32[2])) -> pred[] {
  ROOT %below = pred[] fusion(%count)
}
%inner.1 (state: (s32[], f32[2])) -> (s32[], f32[2]) {
  %x = f32[2]{0} get-tuple-element(%state), index=1
  ROOT %f = (s32[], f32[2]{0}) fusion(%x), kind=kLoop, calls=%fused
}
%wrapped (x: f32[8]) -> f32[2] {
  ROOT %g = f32[2] fusion(%x), kind=kLoop, calls=%fused
}
ENTRY %main.1 (x: f32[2]) -> f32[2] {
  %x = f32[2]{0} parameter(0)
  %loop = (s32[]) while(%x), condition=%condition.1, body=%inner.1, backend_config={"known_trip_count":{"n":"7"}}
  %once = (s32[], f32[2]) while(%x), condition=%condition.1, body=%inner.1
  %graph = f32[2] call(%x), to_apply=%wrapped
  %start = (f32[2], f32[2]) all-reduce-start(%x), to_apply=%sum
  %done = f32[2] all-reduce-done(%start)
  ROOT %y = (f32[2], u8[4]) custom-call(%x), custom_call_target="__cudnn$convForward"
}
"""


def test_kernels_of_loops_and_graphs_are_counted_and_bookkeeping_is_not():
    kernels, unknown = kernels_of(KERNELS)
    assert kernels == {"fusion": 7 + 1 + 1, "all-reduce-start": 1, "__cudnn$convForward": 1}
    assert unknown == 1


EXCHANGES = """
%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %add = f32[] add(%a, %b)
}
%wrapped (x: f32[8]) -> f32[2] {
  ROOT %scatter = f32[2] reduce-scatter(%x), to_apply=%sum
}
ENTRY %main.1 (x: f32[8]) -> f32[2] {
  %before = f32[2] fusion(%x), backend_config={"estimated_cycles":"1"}
  %now = (f32[2], f32[3]) all-reduce(%before, %x), to_apply=%sum, metadata={op_name="jit(step)/psum"}
  %one = (f32[2], f32[2]) all-reduce-start(%before), to_apply=%sum
  %two = ((f32[8]), f32[2], u32[]) async-start(%x), calls=%wrapped
  %loop = (s32[], f32[2]) while(%state), condition=%condition.1, body=%inner.1
  %first = f32[2] all-reduce-done(%one)
  %after = f32[2] fusion(%first, %now), backend_config={"estimated_cycles":"100"}
  %second = f32[2] async-done(%two)
  %last = f32[2] fusion(%second), backend_config={"estimated_cycles":"1000"}
}
"""


def test_an_exchange_hides_behind_what_stands_between_its_two_instructions():
    """The loop runs three times, with five cycles."""
    program = HLO[: HLO.index("%open.1")] + HLO[HLO.index("%inner.1") : HLO.index("%outer.1")] + EXCHANGES
    now, one, two = hiding_of(program)
    assert now == Hiding("all-reduce", False, 0)
    assert one == Hiding("all-reduce", True, 15)
    assert two == Hiding("reduce-scatter", True, 115)


@pytest.mark.parametrize(
    "name, part",
    [
        ("jit(step)/jvp(DAN)/restorer/head/conv", "restorer/head"),
        ("jit(step)/transpose(jvp(DAN))/DAN.step/estimator/mean", "estimator, backward"),
        ("jit(step)/while/body/mul", "degradation, loss and update"),
    ],
)
def test_parts_have_the_names_of_parameters(name, part):
    assert part_of_network(name, PARAMETERS) == part


@pytest.mark.drill
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="the extra [aot], libtpu, is not installed")
def test_a_tpu_gets_one_exchange_and_no_form_of_a_cpu(tmp_path):
    sizes = ["model.features=8", "model.blocks=2", "model.estimator_features=8", "model.estimator_blocks=1"]
    command = [sys.executable, "-m", "benchmarks.ahead", "--config", "dan_x4", "--set", *sizes, "--side", "16"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    command += ["--topology", "v5e:2x4", "--patches", "2", "-o", str(tmp_path / "found.json")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    (exchange,) = found["collectives"]
    assert (found["chips"], exchange["kind"], exchange["repeated"]) == (8, "all-reduce", False)
    assert 0 <= exchange["bytes"] - 4 * found["parameters"] < 100  # besides gradients, a few numbers to look at
    # A CPU's form of each gradient by a kernel is a loop. These are the blur, the steps, and the Restorer's blocks in
    # the first steps, in the last, and backwards.
    assert found["loops"] == 5 and found["loops_counted_once"] == 0
    assert 0 < found["peak_bytes"] < 32e6  # the program itself is 18 MB of them
    assert [(h["kind"], h["asynchronous"]) for h in found["hiding"]] == [("all-reduce", False)]
    assert 0 < found["share_of_peak"] < 0.1
    assert found["cycles"] == sum(found["cycles_by_part"].values()) > 0
