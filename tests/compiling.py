"""How XLA compiles what tests run."""

import jaxlib.version

# Without its emitters of fusions, XLA compiles in a third of the time. Later versions have no such switch.
_EMITTERS = "--xla_cpu_use_fusion_emitters=false" if jaxlib.version.__version_info__ < (0, 11) else ""
# A program in one piece: several pieces, each in a thread, take a fifth more processor time, and no core is free.
ONE_DEVICE = f"{_EMITTERS} --xla_cpu_parallel_codegen_split_count=1".strip()
"""XLA_FLAGS of a process with one CPU device, as a user's."""


def several_devices(count: int) -> str:
    """XLA_FLAGS of a process with ``count`` CPU devices."""
    return f"{ONE_DEVICE} --xla_force_host_platform_device_count={count}"
