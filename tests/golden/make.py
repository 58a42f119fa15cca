"""Writes the golden values of this folder: ``python -m tests.golden.make ../shared/reference`` (needs PyTorch).

Networks are small ones of random weights, computed in plain PyTorch: DANs, DSSR and the gradient of DCLS by
``benchmarks.peers``, USRNet and DRUNet here. Before anything is written, each is compared with the outputs of the
authors' own code in the given folder.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peers.torch_worker import all_steps, build, loss_of

FOLDER = pathlib.Path(__file__).parent
AGREEMENT = 2e-5  # of the largest value, with the authors' outputs
GRADIENTS = 1e-3  # the same of gradients
STEPS = {"danv1": ("sr", "code"), "danv2": ("sr", "code", "kernel"), "dssr": ("sr", "detail")}
BLIND = {
    "danv1": {"features": 8, "blocks": 2, "estimator_features": 6, "estimator_blocks": 2, "kernel_size": 11},
    "danv2": {"features": 8, "groups": 2, "blocks": 1, "estimator_features": 6, "estimator_blocks": 1}
    | {"kernel_size": 11, "code_length": 6},
    "dssr": {"features": 6, "blocks": 2, "refine_blocks": 1},
}
GAIN = {"danv1": 2.1, "danv2": 2.1, "dssr": 1.2}  # of PyTorch's own weights, so that every part and step matters
State = dict[str, torch.Tensor]


def res_block(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return x + conv(state, f"{name}.res.2", F.relu(conv(state, f"{name}.res.0", x)))


def conv(state: State, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2 if stride == 1 else 0)


def res_unet(state: State, x: torch.Tensor) -> torch.Tensor:
    """Three levels down and up, from the tensors of KAIR's UNetRes; x is [B, 4, H, W]."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = sum(f"m_down1.{i}.res.0.weight" in state for i in range(9))
    body = ["m_body"] if blocks == 1 else [f"m_body.{i}" for i in range(blocks)]
    levels = [conv(state, "m_head", x)]
    for level in (1, 2, 3):
        x = levels[-1]
        for i in range(blocks):
            x = res_block(state, f"m_down{level}.{i}", x)
        levels.append(conv(state, f"m_down{level}.{blocks}", x, stride=2))
    x = levels[3]
    for name in body:
        x = res_block(state, name, x)
    for level in (3, 2, 1):
        name = f"m_up{level}"
        x = F.conv_transpose2d(x + levels[level], state[f"{name}.0.weight"], state.get(f"{name}.0.bias"), 2)
        for i in range(blocks):
            x = res_block(state, f"{name}.{i + 1}", x)
    return conv(state, "m_tail", x + levels[0])[..., :height, :width]


def usrnet(state: State, lr: torch.Tensor, kernel: torch.Tensor, s: int, sigma: float) -> torch.Tensor:
    """Every data step of USRNet's equation for x, and the prior after it; kernel is a convolution kernel [B, K, K]."""
    prior = {name[2:]: x for name, x in state.items() if name.startswith("p.")}
    batch, colours, height, width = lr.shape
    numbers = torch.tensor([sigma, float(s)]).reshape(1, 2, 1, 1).expand(batch, -1, -1, -1)
    hidden = F.relu(conv(state, "h.mlp.2", F.relu(conv(state, "h.mlp.0", numbers))))
    numbers = F.softplus(conv(state, "h.mlp.4", hidden)) + 1e-6
    alphas, levels = numbers.chunk(2, dim=1)
    size = kernel.shape[-1]
    padded = F.pad(kernel, (0, s * width - size, 0, s * height - size)).roll((-(size // 2),) * 2, (1, 2))
    transfer = torch.fft.fft2(padded)[:, None]
    zeros = torch.zeros(batch, colours, s * height, s * width)
    zeros[..., ::s, ::s] = lr
    data = transfer.conj() * torch.fft.fft2(zeros)

    def fold(y: torch.Tensor) -> torch.Tensor:
        return y.reshape(batch, -1, s, height, s, width).mean(dim=(2, 4))

    x = F.interpolate(lr, scale_factor=s, mode="nearest")
    for t in range(alphas.shape[1]):
        alpha = alphas[:, t : t + 1]
        right = data + torch.fft.fft2(alpha * x)
        quotient = fold(transfer * right) / (fold(transfer.abs() ** 2) + alpha)
        x = torch.fft.ifft2((right - transfer.conj() * quotient.repeat(1, 1, s, s)) / alpha).real
        level = levels[:, t : t + 1].expand(-1, -1, s * height, s * width)
        x = res_unet(prior, torch.cat([x, level], dim=1))
    return x


def drunet(state: State, x: torch.Tensor, level: float) -> torch.Tensor:
    return res_unet(state, torch.cat([x, torch.full_like(x[:, :1], level)], dim=1))


def narrower(state: State, rng: np.random.Generator) -> State:
    """The same tensors with fewer channels, drawn anew with a standard deviation that fits their fan-in."""
    widths, new = {16: 4, 32: 6, 48: 8}, {}
    for name, x in state.items():
        shape = tuple(widths.get(side, side) for side in x.shape)
        gain = (x[0].numel() / np.prod(shape[1:])) ** 0.5 if x.ndim == 4 else 1.0
        new[name] = torch.from_numpy(np.float32(rng.normal(size=shape) * float(x.std()) * gain))
    return new


def blind(name: str, scale: int, rng: np.random.Generator) -> torch.nn.Module:
    """A small network of ``benchmarks.peers``; its weights are larger than PyTorch's, so that every part matters."""
    torch.manual_seed(0)
    network = build(name, scale=scale, **BLIND[name])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= GAIN[name]
    if name != "dssr":
        size, length = BLIND[name]["kernel_size"], network.init_ker_map.shape[-1]
        basis = torch.from_numpy(np.float32(np.linalg.qr(rng.normal(size=(size**2, length)))[0]))
        network.encoder[0] = basis
        network.init_kernel[0, size // 2, size // 2] = 1.0
        network.init_ker_map[0] = network.init_kernel[0].flatten() @ basis
    return network


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(x, np.float32)).permute(0, 3, 1, 2).contiguous()


def corner(x: torch.Tensor) -> np.ndarray:
    """The upper left 16×16 pixels of [..., C, H, W], channels last."""
    return x[..., :16, :16].movedim(-3, -1).detach().numpy()


def steps_of(network: torch.nn.Module, lr: torch.Tensor, parts: tuple[str, ...]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        steps = all_steps(network, lr)
    stacked = {part: torch.stack([step[part] for step in steps]) for part in parts}
    return {part: x.numpy() if x.ndim == 3 else corner(x) for part, x in stacked.items()}


def gradient_of(network: torch.nn.Module, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A loss of DANv1, its gradient's norm, and the gradient to some tensors."""
    kernel = rng.random((2, network.kernel_size, network.kernel_size), np.float32)
    kernel /= kernel.sum(axis=(1, 2), keepdims=True)
    arrays = {"lr": rng.random((2, 8, 9, 3), np.float32), "hr": rng.random((2, 16, 18, 3), np.float32)}
    lr, hr = (nchw(arrays[name]) for name in ("lr", "hr"))
    loss = loss_of(network, all_steps(network, lr), network.truth(hr, lr, torch.from_numpy(kernel)))
    loss.backward()
    norm = torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm()
    wanted = ("Restorer.head.weight", "Restorer.body.0.body.0.weight", "Estimator.head_HR.weight", "Estimator.out.bias")
    grads = {f"grad/{name}": dict(network.named_parameters())[name].grad.numpy() for name in wanted}
    return arrays | {"kernel": kernel, "loss": loss.detach().numpy(), "norm": norm.numpy()} | grads


def kernel_target(clean: np.ndarray, blurred: np.ndarray, size: int) -> np.ndarray:
    """What DCLS's kernels [B, K, K] are compared with, of LR images [B, H, W, 3] without blur and with it."""
    sharp, soft = (np.fft.fft2(np.float64(x), axes=(1, 2)) for x in (clean, blurred))
    quotient = np.fft.ifft2(sharp.conj() * soft / (np.abs(sharp) ** 2 + 1e-20), axes=(1, 2)).real
    kernels = np.roll(quotient, (size // 2,) * 2, axis=(1, 2))[:, :size, :size]
    kernel = np.where(kernels.prod(axis=-1) > 0, kernels.mean(axis=-1), 0)
    faint = np.sort(kernel.reshape(len(kernel), -1), axis=1)[:, -41].reshape(-1, 1, 1)
    kernel = np.clip(kernel - 0.75 * faint, 0, 1)
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)


def dcls_losses(network: torch.nn.Module, lr: np.ndarray, hr: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """The two terms of DCLS's loss, the norms of the gradients of its two parts, and the gradient to each tensor."""
    found = network.step((), nchw(lr))[1]
    image = (found["sr"] - nchw(hr)).abs().mean()
    kernel = (found["kernel"] - torch.from_numpy(np.float32(target))).abs().mean()
    (image + kernel).backward()
    grads = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    norms = {
        f"norm_{part.lower()}": np.sqrt(sum(np.square(x).sum() for name, x in grads.items() if name.startswith(part)))
        for part in ("Restorer", "Estimator")
    }
    losses = {"loss_sr": image.detach().numpy(), "loss_kernel": kernel.detach().numpy()}
    return losses | norms | {f"grad/{name}": x for name, x in grads.items()}


def write_dcls_gradient(reference: pathlib.Path) -> None:
    """The gradient of the DCLS of ``dcls.npz``, and a target of its kernels."""
    golden = np.load(reference / "field" / "dcls_x4_train.npz")
    network = build("dcls", scale=4, features=32, groups=2, blocks=2, latent_features=8)
    network.load_state_dict(torch.load(reference / "field" / "dcls_x4.pth", weights_only=True))
    check(kernel_target(golden["lr_clean"], golden["lr_blurred"], 21), golden["kernel_target"], "dcls, kernel target")
    found = dcls_losses(network, golden["lr"], golden["hr"], golden["kernel_target"])
    for part in ("restorer", "estimator"):
        found[f"grad_norm_{part}"] = found[f"norm_{part}"]
    for name in golden.files:
        if name.startswith(("loss", "grad/", "grad_norm_")):
            check(found[name], golden[name], f"dcls, {name}")
    small, rng = np.load(FOLDER / "dcls.npz"), np.random.default_rng(0)
    state = {name[6:]: torch.from_numpy(np.float32(small[name])) for name in small.files if name[:6] == "state/"}
    sizes = {"groups": 2, "blocks": 1, "features": 8, "reduction": 2, "latent_features": 2}
    network = build("dcls", scale=2, kernel_size=11, kernel_softmax=True, **sizes)
    network.load_state_dict(state)
    blur, clean = np.zeros((2, 12, 12)), rng.random((2, 12, 12, 3), np.float32)
    blur[:, :5, :5] = rng.random((2, 5, 5))
    transfer = np.fft.fft2(blur / blur.sum(axis=(1, 2), keepdims=True))[..., None]
    blurred = np.float32(np.fft.ifft2(transfer * np.fft.fft2(clean, axes=(1, 2)), axes=(1, 2)).real)
    target = np.float32(kernel_target(clean, blurred, 11))
    arrays = {"lr": rng.random((2, 10, 11, 3), np.float32), "hr": rng.random((2, 20, 22, 3), np.float32)}
    found = dcls_losses(network, **arrays, target=target)
    wanted = (
        "Restorer.conv_first.weight",
        "Restorer.head2.grad_filter.6.weight",
        "Restorer.body.0.body.0.CA_body1.1.weight",
        "Estimator.head.0.weight",
        "Estimator.dec.3.weight",
    )
    kept = {name: np.float32(x) for name, x in found.items() if not name.startswith("grad/") or name[5:] in wanted}
    arrays |= {"clean": clean, "blurred": blurred, "target": target}
    np.savez_compressed(FOLDER / "dcls_gradient.npz", **arrays, **kept)


def check(got: np.ndarray, want: np.ndarray, what: str) -> None:
    error = np.abs(got.reshape(want.shape) - want).max() / np.abs(want).max()
    print(f"{what}: {error:.1e} from the authors' code")
    if not error <= (GRADIENTS if "grad" in what else AGREEMENT):
        raise SystemExit(f"{what} does not reproduce the authors' outputs; nothing was written for it")


def check_networks(reference: pathlib.Path) -> tuple[State, State]:
    """Compares all networks with the authors' outputs; returns the tensors of their small USRNet and DRUNet."""
    folder = reference / "networks"
    for name, parts in STEPS.items():
        golden = np.load(folder / f"{name}_x2_io.npz")
        state = torch.load(folder / f"{name}_x2.pth", weights_only=True)
        sizes = {
            "danv1": {"blocks": 2},
            "danv2": {"groups": 2, "blocks": 2, "kernel_size": 11, "code_length": 10},
            "dssr": {"features": 16, "blocks": 2, "refine_blocks": 1},
        }
        network = build(name, scale=2, **sizes[name])
        network.load_state_dict(state)
        with torch.no_grad():
            steps = all_steps(network, nchw(golden["lr"]))
        for part in parts:
            got = torch.stack([step[part] for step in steps])
            check((got.movedim(2, -1) if got.ndim == 5 else got).numpy(), golden[part], f"{name}, {part}")
    golden = np.load(reference / "nonblind.npz")
    unfolded, denoiser = (torch.load(folder / f"{name}_small.pth", weights_only=True) for name in ("usrnet", "drunet"))
    for s in (2, 3, 4):
        got = usrnet(unfolded, nchw(golden[f"lr_x{s}"]), torch.from_numpy(golden[f"kernel_x{s}"]), s, 2.55 / 255)
        check(got.permute(0, 2, 3, 1).numpy(), golden[f"usrnet_x{s}"], f"usrnet x{s}")
    got = drunet(denoiser, nchw(golden["drunet_in_sigma25"]), 25 / 255)
    check(got.permute(0, 2, 3, 1).numpy(), golden["drunet_out_sigma25"], "drunet")
    return unfolded, denoiser


def write_networks(reference: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    unfolded, denoiser = (narrower(state, rng) for state in check_networks(reference))
    for name, scale in (("danv1", 2), ("danv2", 3), ("dssr", 4)):
        network = blind(name, scale, rng)
        torch.save(network.state_dict(), FOLDER / f"{name}.pth")
        lr = rng.random((1, 8, 9, 3), np.float32)
        np.savez_compressed(FOLDER / f"{name}.npz", lr=lr, **steps_of(network, nchw(lr), STEPS[name]))
        if name == "danv1":
            np.savez_compressed(FOLDER / "danv1_gradient.npz", **gradient_of(network, rng))
    lr, kernel = rng.random((1, 7, 9, 3), np.float32), rng.random((1, 9, 9), np.float32) ** 4
    kernel /= kernel.sum()
    found = {"lr": lr, "kernel": kernel}
    for s in (2, 3, 4):
        found[f"sr_x{s}"] = corner(usrnet(unfolded, nchw(lr), torch.from_numpy(kernel), s, 0.01))
    torch.save(unfolded, FOLDER / "usrnet.pth")
    np.savez_compressed(FOLDER / "usrnet.npz", **found)
    x = rng.random((1, 16, 16, 3), np.float32)
    torch.save(denoiser, FOLDER / "drunet.pth")
    schedule = {name: np.load(reference / "nonblind.npz")[name] for name in ("dpir_rhos", "dpir_sigmas")}
    np.savez_compressed(FOLDER / "drunet.npz", x=x, denoised=corner(drunet(denoiser, nchw(x), 0.1)), **schedule)


def write_kernels(reference: pathlib.Path) -> None:
    """Two kernels of each kind, as the authors' code drew them."""
    kernels = np.load(reference / "kernels.npz")
    chosen = [name for name in kernels.files if name.startswith(("iso21", "aniso11"))]
    np.savez_compressed(FOLDER / "kernels.npz", **{name: kernels[name][:2] for name in chosen})


def main(reference: str) -> None:
    write_networks(pathlib.Path(reference))
    write_dcls_gradient(pathlib.Path(reference))
    write_kernels(pathlib.Path(reference))


if __name__ == "__main__":
    main(*sys.argv[1:])
