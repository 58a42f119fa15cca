"""PyTorch's side of a comparison: ``python -m benchmarks.peers.torch_worker``, started by ``workers``."""

from __future__ import annotations

import functools
import pathlib
import platform
import typing

import numpy as np
import torch

from benchmarks.peers.dan import DAN, Tensors
from benchmarks.peers.dasr import DASR
from benchmarks.peers.dcls import DCLS
from benchmarks.peers.dssr import DSSR
from benchmarks.peers.forms import Form, Network, apply_form, compiling, forms_of, precision_of
from benchmarks.serving import Prepared, handlers_of, serve

DANS = {"danv1": functools.partial(DAN, 1), "danv2": functools.partial(DAN, 2)}
NETWORKS = DANS | {"dssr": DSSR, "dcls": DCLS, "dasr": DASR}
LEARNING_RATE, BETAS = 2e-4, (0.9, 0.99)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Peer:
    """Inference and training steps of the original networks."""

    def describe(self) -> dict[str, typing.Any]:
        device = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        return versions | {"device": device, "threads": torch.get_num_threads()}

    def forms(self, kind: str, model: str) -> list[dict[str, str]]:
        return [{"name": form.name, "precision": form.precision} for form in _forms(kind, model)]

    def prepare(self, kind: str, form: str, model: dict[str, typing.Any], arrays: pathlib.Path) -> Prepared:
        chosen = next(candidate for candidate in _forms(kind, model["name"]) if candidate.name == form)
        with np.load(arrays) as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files}
        network = build(**model)
        state = {name[6:]: x for name, x in tensors.items() if name.startswith("state/")}
        network.load_state_dict(state, strict=True)
        images = {name: _placed(tensors[name], chosen) for name in ("lr", "hr", "kernel")}
        make = {"inference": _inference, "training": _training}[kind]
        return make(apply_form(network, chosen, DEVICE), images, chosen)

    def device_peak(self) -> int | None:
        return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None


def _forms(kind: str, model: str) -> list[Form]:
    network = NETWORKS[model]
    return forms_of(kind, getattr(network, "func", network).supervises_all, DEVICE == "cuda")


def _placed(x: torch.Tensor, form: Form) -> torch.Tensor:
    """Move an array to the device. Images become [B, C, H, W] in the form's layout."""
    if x.ndim != 4:
        return x.to(DEVICE)
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    return x.permute(0, 3, 1, 2).to(DEVICE).contiguous(memory_format=layout)


def _finish() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def _inference(network: Network, images: dict[str, torch.Tensor], form: Form) -> Prepared:
    def restore() -> torch.Tensor:
        with torch.no_grad(), precision_of(form, DEVICE):
            sr = network.final_image(all_steps(network, images["lr"]))
        _finish()
        return sr

    def outcome() -> dict[str, np.ndarray]:
        with compiling(form):
            sr = restore()
        return {"sr": sr.permute(0, 2, 3, 1).float().cpu().numpy()}

    return Prepared(run=restore, outcome=outcome)


def _training(network: Network, images: dict[str, torch.Tensor], form: Form) -> Prepared:
    """Consecutive updates. Compared are the first loss and its changes after one and two updates."""
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, BETAS, fused=True)
    steps_of = all_steps if form.taped or network.supervises_all else last_step

    def update() -> float:
        optimizer.zero_grad(set_to_none=True)
        with precision_of(form, DEVICE):
            truth = network.truth(images["hr"], images["lr"], images["kernel"])
            loss = loss_of(network, steps_of(network, images["lr"]), truth)
        loss.backward()
        optimizer.step()
        _finish()
        return loss.item()

    def outcome() -> dict[str, np.ndarray]:
        first, *later = [update() for _ in range(3)]
        return {"loss": np.array([first]), "change": np.array(later) - first}

    return Prepared(run=update, outcome=outcome)


def build(name: str, *, scale: int, **sizes: typing.Any) -> Network:
    """A network with fresh weights, from the arguments of the package's ``networks.build``."""
    return NETWORKS[name](scale, **sizes)


def all_steps(network: Network, lr: torch.Tensor) -> list[Tensors]:
    """The estimates of each of the T steps. A gradient goes back as far as the network allows."""
    state, steps = network.start(lr), []
    for _ in range(network.iterations):
        state, estimate = network.step(state, lr)
        steps.append(estimate)
    return steps


def last_step(network: Network, lr: torch.Tensor) -> list[Tensors]:
    """The last step, with a gradient. Earlier steps run without one, because DAN detaches their results anyway."""
    with torch.no_grad():
        state: typing.Any = network.start(lr)
        for _ in range(network.iterations - 1):
            state, _ = network.step(state, lr)
    return [network.step(state, lr)[1]]


def loss_of(network: Network, steps: list[Tensors], truth: Tensors) -> torch.Tensor:
    """The authors' loss: at the last step for DAN, summed over all steps for DSSR."""
    supervised = steps if network.supervises_all else steps[-1:]
    return sum(network.loss(step, truth) for step in supervised)


def main() -> None:
    serve(handlers_of(Peer()))


if __name__ == "__main__":
    main()
