"""What devices exchange is read from a program's text, the update exchanges once, and predictions are as by hand."""

import dataclasses

import pytest

from benchmarks.accelerators import ACCELERATORS, H200, SHARE_OF_PEAK, predict, ring
from benchmarks.partitioned import Collective, collectives_of
from tests.benchmark_runs import SMALL, measured

HLO = """HloModule jit_step, entry_computation_layout={(f32[4]{0})->f32[16]{0}}

%gather (x: f32[4]) -> f32[16] {
  %x = f32[4]{0} parameter(0)
  ROOT %all = f32[16]{0} all-gather(%x), replica_groups=[1,4]<=[4], dimensions={0}, metadata={op_name="all-gather(x)"}
}

%turn (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], f32[4]{0}) parameter(0)
  %y = f32[16]{0} call(%p), to_apply=%gather
}

ENTRY %main (a: f32[2,3]) -> f32[2,3] {
  %a = f32[2,3]{1,0} parameter(0), metadata={op_name="all-reduce(a)"}
  %start = (f32[2,3]{1,0}, f32[2,3]{1,0}) collective-permute-start(%a), source_target_pairs={{0,1},{1,0}}
  %done = f32[2,3]{1,0} collective-permute-done(%start)
  %sums = (bf16[10]{0:T(8)}, pred[4]{0}, /*index=2*/f32[]) all-reduce(%b, %c, %d), replica_groups={}, to_apply=%add
  %loop = (s32[], f32[4]{0}) while(%begin), condition=%until, body=%turn
}
"""


def test_exchanges_are_read_from_the_text():
    """Also one in a loop, an asynchronous one, and one of several arrays; not what is merely named after one."""
    assert collectives_of(HLO) == [
        Collective("all-gather", arrays=1, bytes=64, repeated=True),
        Collective("collective-permute", arrays=1, bytes=24, repeated=False),
        Collective("all-reduce", arrays=3, bytes=20 + 4 + 4, repeated=False),
    ]


@pytest.mark.drill
def test_the_update_exchanges_its_gradients_once_on_any_number_of_devices(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")  # four devices, for the tests
    words = ["--devices", "2", "8", "--sizes", "8", "--batch", "2", "--network", *SMALL["danv1"]]
    result = measured(tmp_path, "scaling", *words)
    two, eight = result["tables"]["Compiled"]
    assert (two["devices"], eight["devices"]) == (2, 8)
    for row in (two, eight):
        assert (row["exchanges"], row["kinds"], row["in_loops"]) == (1, "all-reduce", 0)
        assert 0 <= 1e6 * row["mb"] - 4 * result["parameters"] < 100  # besides gradients, a few numbers to look at
        assert row["traced_gflop"] == two["traced_gflop"] > 0
        assert row["compiled_gflop"] == pytest.approx(two["compiled_gflop"], rel=0.01)
        assert row["temporaries_mib"] == pytest.approx(two["temporaries_mib"], rel=0.05)
    for row in result["tables"]["Predicted: batch 64 on more devices"]:
        assert row["devices"] * row["patches_a_device"] == 64
        assert 0 < row["worst"] <= row["expected"] <= row["best"] <= 1


def test_a_ring_sends_everything_nearly_twice():
    assert ring(1, 1e9, 1e9, 1.0) == 0
    assert ring(4, 8.0, 2.0, 0.25) == 2 * 3 / 4 * 8 / 2 + 2 * 3 * 0.25


def test_hosts_sum_first_among_themselves():
    slow = dataclasses.replace(H200, group=2, inner=100.0, outer=10.0, inner_latency=0.5, outer_latency=1.0)
    step = predict(slow, 6, flop=SHARE_OF_PEAK * slow.flop_per_second * 15, size=600.0)
    inside, between = 2 * 1 / 2 * 600 / 100 + 2 * 0.5, 2 * 2 / 3 * 300 / 10 + 2 * 2 * 1.0
    assert (step.compute, step.in_groups) == (pytest.approx(15), pytest.approx(inside + between))
    assert step.in_one_ring == pytest.approx(2 * 5 / 6 * 600 / 10 + 2 * 5 * 1.0)
    efficiency = step.efficiency()
    assert efficiency["worst"] == pytest.approx(15 / 125)
    assert efficiency["expected"] == pytest.approx(15 / 66)
    assert efficiency["best"] == pytest.approx(15 / 51)


@pytest.mark.parametrize("accelerator", ACCELERATORS, ids=lambda accelerator: accelerator.name)
def test_a_single_device_waits_for_nobody(accelerator):
    assert set(predict(accelerator, 1, 1e12, 2e7).efficiency().values()) == {1.0}
