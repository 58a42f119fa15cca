"""DAN (NeurIPS 2020; v2: arXiv 2105.06878): the loop that both versions share."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers import dan_v1, dan_v2
from benchmarks.peers.layers import l1

Tensors = dict[str, torch.Tensor]


class DAN(nn.Module):
    """Restorer and Estimator in turn, each seeing its input detached.

    Args:
      version: 1 or 2.
      scale: s.
      kernel_size, code_length: K, L.
      iterations: T.
      **sizes: as the package's builders call them.
    """

    supervises_all = False

    def __init__(self, version: int, scale: int, *, kernel_size=21, code_length=10, iterations=4, **sizes: int):
        super().__init__()
        room = {1: dan_v1, 2: dan_v2}[version]
        self.iterations, self.version, self.kernel_size = iterations, version, kernel_size
        self.Restorer = room.restorer(scale, code_length, sizes)
        self.Estimator = room.estimator(scale, kernel_size**2 if version == 2 else code_length, sizes)
        self.register_buffer("encoder", torch.zeros(1, kernel_size**2, code_length))
        self.register_buffer("init_kernel", torch.zeros(1, kernel_size, kernel_size))
        self.register_buffer("init_ker_map", torch.zeros(1, code_length))

    def start(self, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The Dirac kernel's code [B, L]."""
        return (self.init_ker_map.repeat(lr.shape[0], 1),)

    def step(self, state: tuple[torch.Tensor, ...], lr: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
        """The image from the last code, then the code (v2: the kernel and its code) from that image."""
        sr = self.Restorer(lr, state[0].detach())
        prediction = self.Estimator(sr.detach(), lr)
        if self.version == 1:
            return (prediction,), {"sr": sr, "code": prediction}
        code = prediction @ self.encoder[0]
        return (code,), {"sr": sr, "code": code, "kernel": prediction}

    def final_image(self, steps: list[Tensors]) -> torch.Tensor:
        """The last step's."""
        return steps[-1]["sr"]

    def truth(self, hr: torch.Tensor, lr: torch.Tensor, kernel: torch.Tensor) -> Tensors:
        """What a step's estimates are compared with."""
        flat = kernel.flatten(1)
        return {"sr": hr, "code": flat @ self.encoder[0]} if self.version == 1 else {"sr": hr, "kernel": flat}

    def loss(self, estimate: Tensors, truth: Tensors) -> torch.Tensor:
        """L1 of the image and of the code (v2: of the kernel)."""
        return sum(l1(estimate[name], target) for name, target in truth.items())
