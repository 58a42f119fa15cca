"""Published figures of accelerators and their links, and a training step predicted from them. Nothing is measured."""

from __future__ import annotations

import dataclasses

# Assumed, not measured. Maps of 64 to 74 channels fill matrix units badly, so real training may reach less.
SHARE_OF_PEAK = 0.3


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """A device and its links.

    Attributes:
      name: name of the product.
      flop_per_second: published dense bfloat16 peak.
      memory: published memory in bytes.
      group: number of devices joined by the faster links: those of a host, or of an axis of a torus.
      host: number of devices that one host feeds.
      inner, outer: bytes per second that one device sends in one direction, inside its group and to other groups.
      inner_latency, outer_latency: seconds of one hop inside a group and between groups.
      source: source of the figures.
    """

    name: str
    flop_per_second: float
    memory: float
    group: int
    host: int
    inner: float
    outer: float
    inner_latency: float
    outer_latency: float
    source: str


_NCCL = "latency of a hop: NCCL's own model (graph/tuning.cc, ring, simple protocol)"
_TORUS = "one of its links in one direction; latency of a hop assumed"
H200 = Accelerator(
    *("H200", 989e12, 141e9, 8, 8, 450e9, 50e9, 3.4e-6, 14e-6),
    f"NVIDIA H200 data sheet (SXM: NVLink 900 GB/s both ways); DGX H200: 400 Gb/s InfiniBand for each GPU; {_NCCL}",
)
ACCELERATORS = (
    H200,
    dataclasses.replace(H200, name="H100", memory=80e9, source="NVIDIA H100 data sheet (SXM), DGX H100; else as H200"),
    Accelerator(
        *("A100 80 GB", 312e12, 80e9, 8, 8, 300e9, 25e9, 3.4e-6, 14e-6),
        f"NVIDIA A100 data sheet (SXM: NVLink 600 GB/s both ways); DGX A100: 200 Gb/s InfiniBand for each GPU; {_NCCL}",
    ),
    Accelerator(
        *("TPU v5e", 197e12, 16e9, 8, 8, 50e9, 50e9, 1e-6, 1e-6),
        f"cloud.google.com/tpu/docs/v5e: 400 GB/s both ways over 4 links; {_TORUS}",
    ),
    Accelerator(
        *("TPU v5p", 459e12, 95e9, 4, 4, 100e9, 100e9, 1e-6, 1e-6),
        f"cloud.google.com/tpu/docs/v5p: 1200 GB/s both ways over 6 links; {_TORUS}",
    ),
)
# Published dense bfloat16 peaks by the first word of libtpu's topologies: as above, and cloud.google.com/tpu/docs/v6e.
TPU_PEAKS = {of.name.removeprefix("TPU "): of.flop_per_second for of in ACCELERATORS if of.name.startswith("TPU")} | {
    "v6e": 918e12
}


@dataclasses.dataclass(frozen=True)
class Step:
    """A predicted training step.

    Attributes:
      compute: seconds that a device computes on its share of the batch.
      in_groups: seconds of an exchange first inside the groups, then between them.
      in_one_ring: seconds of an exchange in one ring through all devices, limited by the slowest link.
    """

    compute: float
    in_groups: float
    in_one_ring: float

    @property
    def seconds(self) -> float:
        """Seconds of the step if the exchange follows the gradient, as the program is written."""
        return self.compute + self.in_groups

    def efficiency(self) -> dict[str, float]:
        """Share of the step in which devices compute: with one ring, as expected, and with a hidden exchange."""
        return {
            "worst": self.compute / (self.compute + self.in_one_ring),
            "expected": self.compute / self.seconds,
            "best": self.compute / max(self.compute, self.in_groups),
        }


def ring(devices: int, size: float, rate: float, latency: float) -> float:
    """Seconds of a ring all-reduce. Each device sends 2 (N - 1) / N of the bytes in 2 (N - 1) hops.

    Args:
      devices: N.
      size: bytes to sum.
      rate: bytes per second that one device sends.
      latency: seconds of one hop.
    """
    return 2 * (devices - 1) / devices * size / rate + 2 * (devices - 1) * latency


def predict(accelerator: Accelerator, devices: int, flop: float, size: float) -> Step:
    """Predict a training step.

    Args:
      accelerator: one of ``ACCELERATORS``.
      devices: number of devices, a multiple of the accelerator's group or smaller than it.
      flop: FLOP of one device.
      size: bytes of the gradients.
    """
    inside = min(devices, accelerator.group)
    to_others = (accelerator.outer, accelerator.outer_latency)
    within = (accelerator.inner, accelerator.inner_latency)
    # After the sum inside a group, each of its devices holds one part and sums it with the same part of other groups.
    grouped = ring(inside, size, *within) + ring(devices // inside, size / inside, *to_others)
    alone = ring(devices, size, *(within if devices <= accelerator.group else to_others))
    return Step(flop / (SHARE_OF_PEAK * accelerator.flop_per_second), grouped, alone)
