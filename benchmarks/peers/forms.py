"""The forms in which a skilled PyTorch user would run a network. The fastest of them is the baseline."""

from __future__ import annotations

import contextlib
import dataclasses
import typing

import torch
import torch._dynamo

from benchmarks.peers.dan import DAN
from benchmarks.peers.dasr import DASR
from benchmarks.peers.dcls import DCLS
from benchmarks.peers.dssr import DSSR

Network = DAN | DSSR | DCLS | DASR


@dataclasses.dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
      channels_last: whether weights and images have the channels-last memory layout.
      compiled: whether ``torch.compile`` compiles a step.
      frozen: whether the compiler treats the weights as constants and may change their layout (inference on a CPU).
      taped: in training, whether the steps before the last are recorded although no gradient reaches them, as in the
        authors' code.
      precision: ``float32``, ``tf32``, or ``bf16`` by autocast.
    """

    channels_last: bool = False
    compiled: bool = False
    frozen: bool = False
    taped: bool = False
    precision: str = "float32"

    @property
    def name(self) -> str:
        words = "frozen" if self.frozen else "compiled" if self.compiled else "eager"
        words += ", channels last" if self.channels_last else ""
        words += ", all steps taped" if self.taped else ""
        return words if self.precision == "float32" else f"{words}, {self.precision}"


def forms_of(kind: str, supervises_all: bool, cuda: bool) -> list[Form]:
    """The forms that apply to ``inference`` or ``training`` of a network on this device."""
    forms = [Form(last, compiled) for compiled in (False, True) for last in (False, True)]
    if kind == "inference" and not cuda:
        forms += [Form(last, compiled=True, frozen=True) for last in (False, True)]
    if kind == "training" and not supervises_all:
        forms += [Form(last, taped=True) for last in (False, True)]
    if cuda:
        forms += [dataclasses.replace(form, precision=other) for form in forms for other in ("tf32", "bf16")]
    return forms


def apply_form(network: Network, form: Form, device: str) -> Network:
    """Move the network to its device in the form's layout, and compile its step if the form says so."""
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    network = network.to(device=device, memory_format=layout)
    if form.frozen:
        network.eval().requires_grad_(False)
    if form.compiled:
        torch._dynamo.config.recompile_limit = 64  # all forms compile one function, and none may fall back to eager
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        network.step = torch.compile(network.step, dynamic=False)
    return network


@contextlib.contextmanager
def precision_of(form: Form, device: str) -> typing.Iterator[None]:
    """Context manager that sets the form's precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = form.precision != "float32"
    torch.backends.cudnn.benchmark = True
    with torch.autocast(device, torch.bfloat16, enabled=form.precision == "bf16"):
        yield


def compiling(form: Form) -> contextlib.AbstractContextManager:
    """Context manager for the first call of a form. Freezing is an option of the compiler, not of a call."""
    if not form.frozen:
        return contextlib.nullcontext()
    import torch._inductor.config as inductor

    return inductor.patch(freezing=True)
