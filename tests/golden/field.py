"""Writes small golden values of the field: ``python -m tests.golden.field ../shared/reference``.

Of DCLS, DASR, KernelDAN, RealDAN and IKC.

The networks are computed here in plain NumPy, in double precision, from tensors by PyTorch's names. Before anything is
written, each is compared with the outputs of the authors' own code in the given folder. The tensors of RealDAN and IKC
are large even with few channels, so their files hold the shapes alone: ``drawn`` gives the numbers.
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing

import numpy as np

from blindsr_jax.weights.torch_reader import read_torch_checkpoint

FOLDER = pathlib.Path(__file__).parent
AGREEMENT = 2e-5  # of the largest value, with the authors' outputs
MEAN = np.array([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)
State = dict[str, np.ndarray]
Array = np.ndarray


def conv(state: State, name: str, x: Array, *, stride: int = 1, padding: int | None = None) -> Array:
    """A convolution of [B, C, H, W]; by default its padding keeps the size."""
    weight = np.float64(state[f"{name}.weight"])
    size = weight.shape[-1]
    bias = state.get(f"{name}.bias", np.zeros(len(weight))).reshape(1, -1, 1, 1)
    return correlate(x, weight, size // 2 if padding is None else padding)[:, :, ::stride, ::stride] + bias


def correlate(x: Array, weight: Array, padding: int) -> Array:
    """Correlate [B, C, H, W] with [out, C, k, k]."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows, weight, optimize=True)


def dense(state: State, name: str, x: Array) -> Array:
    return x @ np.float64(state[f"{name}.weight"]).T + state.get(f"{name}.bias", 0.0)


def lrelu(x: Array, slope: float = 0.1) -> Array:
    return np.where(x > 0, x, slope * x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def mean(x: Array) -> Array:
    return x.mean(axis=(2, 3), keepdims=True)


def shuffled(x: Array, s: int) -> Array:
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels // s**2, s, s, height, width)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(batch, channels // s**2, s * height, s * width)


def residual(state: State, name: str, x: Array, slope: float) -> Array:
    return x + conv(state, f"{name}.conv2", lrelu(conv(state, f"{name}.conv1", x), slope))


def count(state: State, name: str) -> int:
    """The number of parts ``name.0``, ``name.1`` …"""
    return next(i for i in range(len(state)) if not any(key.startswith(f"{name}.{i}.") for key in state))


def realdan(state: State, lr: Array, steps: int) -> dict[str, Array]:
    """Image and degradation after each step, of KernelDAN and RealDAN, with residual blocks or RRDBs."""
    blocks = count(state, "Estimator.body") - 1

    def fused(part: str, *features: Array) -> Array:
        shape = features[0].shape
        return conv(state, f"{part}.fusion", np.concatenate([np.broadcast_to(f, shape) for f in features], axis=1))

    def estimated(*features: Array) -> Array:
        y = fused("Estimator", *features)
        for i, stride in enumerate((2, 1, 2, 1, 2) if blocks == 5 else (2, 1, 1, 2, 1, 1, 2, 1)):
            y = skip = relu(y)
            if stride == 2:
                channels = y.shape[1]
                box = np.eye(channels).reshape(channels, channels, 1, 1) * np.full((3, 3), 1 / 9)
                skip = correlate(y, box, 1)[:, :, ::2, ::2]
            y = relu(conv(state, f"Estimator.body.{i}.body.2", y, stride=stride))
            y = conv(state, f"Estimator.body.{i}.body.5", y) + skip
        return mean(conv(state, f"Estimator.body.{blocks}", y))

    def restored(*features: Array) -> Array:
        y = f = fused("Restorer", *features)
        for i in range(count(state, "Restorer.body")):
            name = f"Restorer.body.{i}"
            y = rrdb(state, name, y) if f"{name}.rdb1.conv1.weight" in state else residual(state, name, y, 0.2)
        return y + f

    x = image = conv(state, "img_head", lr - MEAN)
    degradation = np.repeat(conv(state, "deg_head", np.float64(state["init_deg"])), len(lr), axis=0)
    found: dict[str, list[Array]] = {"sr": [], "degradation": []}
    for _ in range(steps):
        degradation = degradation + estimated(x, image, degradation)
        image = image + restored(x, image, degradation)
        y = conv(state, "img_tail.0", image)
        for stage in (0, 2):
            if f"img_tail.1.{stage}.weight" in state:
                y = shuffled(conv(state, f"img_tail.1.{stage}", y), 2)
        found["sr"].append(conv(state, "img_tail.2", y) + MEAN)
        found["degradation"].append(conv(state, "deg_tail.0", degradation)[:, :, 0, 0])
    return {"sr": last(np.stack(found["sr"])), "degradation": np.stack(found["degradation"])}


def rrdb(state: State, name: str, x: Array) -> Array:
    """Three dense blocks of five convolutions."""
    y = x
    for i in (1, 2, 3):
        seen = y
        for j in (1, 2, 3, 4):
            seen = np.concatenate([seen, lrelu(conv(state, f"{name}.rdb{i}.conv{j}", seen), 0.2)], axis=1)
        y = y + 0.2 * conv(state, f"{name}.rdb{i}.conv5", seen)
    return x + 0.2 * y


def ikc(state: State, lr: Array, steps: int) -> dict[str, Array]:
    """Image and code after each step, and the predicted code; the three networks have prefixes here."""

    def convolutions(part: str, x: Array, strides: tuple[int, ...]) -> Array:
        for i, stride in enumerate(strides):
            x = lrelu(conv(state, f"{part}.ConvNet.{2 * i}", x, stride=stride), 0.2)
        return x

    def corrected(sr: Array, code: Array) -> Array:
        x, y = convolutions("Corrector", sr, (1, 2, 1, 2, 1, 1, 1)), code
        for i in (0, 2):
            y = lrelu(dense(state, f"Corrector.code_dense.{i}", y), 0.2)
        x = np.concatenate([x, np.broadcast_to(y[:, :, None, None], x.shape)], axis=1)
        for i in (0, 2):
            x = lrelu(conv(state, f"Corrector.global_dense.{i}", x), 0.2)
        return code + mean(conv(state, "Corrector.global_dense.4", x))[:, :, 0, 0]

    code = mean(convolutions("Predictor", lr, (1, 1, 1, 2, 1, 1)))[:, :, 0, 0]
    found: dict[str, list[Array]] = {"sr": [], "code": []}
    predicted = code
    for _ in range(steps):
        sr = sftmd(state, lr, code)
        code = corrected(sr, code)
        found["sr"].append(sr)
        found["code"].append(code)
    return {"sr": last(np.stack(found["sr"])), "code": np.stack(found["code"]), "predicted": predicted}


def sftmd(state: State, lr: Array, code: Array) -> Array:
    def layer(name: str, x: Array) -> Array:
        return conv(state, f"SFTMD.{name}", x)

    def sft(name: str, x: Array) -> Array:
        stretched = np.broadcast_to(code[:, :, None, None], (*code.shape, *x.shape[2:]))
        seen = np.concatenate([x, stretched], axis=1)
        factor, term = (
            layer(f"{name}.{kind}_conv2", lrelu(layer(f"{name}.{kind}_conv1", seen), 0.2)) for kind in ("mul", "add")
        )
        return x * sigmoid(factor) + term

    x = first = layer("conv3", lrelu(layer("conv2", lrelu(layer("conv1", lr), 0.2)), 0.2))
    i = 1
    while f"SFTMD.SFT-residual{i}.conv1.weight" in state:
        name = f"SFT-residual{i}"
        y = layer(f"{name}.conv1", relu(sft(f"{name}.sft1", x)))
        x = x + layer(f"{name}.conv2", relu(sft(f"{name}.sft2", y)))
        i += 1
    x = layer("conv_mid", sft("sft", x + first))
    for stage in (0, 3):
        if f"SFTMD.upscale.{stage}.weight" in state:
            wide = layer(f"upscale.{stage}", x)
            x = lrelu(shuffled(wide, round((wide.shape[1] / x.shape[1]) ** 0.5)), 0.2)
    return np.clip(layer("conv_output", x), 0, 1)


def dasr(state: State, lr: Array, steps: int = 1) -> dict[str, Array]:
    """Image and representation, of ×2; both images are 0 … 255."""
    x = lr
    for i, place in enumerate((0, 3, 6, 9, 12, 15)):
        x = conv(state, f"E.encoder_q.E.{place}", x, stride=2 if i in (2, 4) else 1)
        norm = {part: state[f"E.encoder_q.E.{place + 1}.{part}"].reshape(1, -1, 1, 1) for part in _NORM}
        x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
        x = lrelu(x)
    representation = x.mean(axis=(2, 3))
    v = lrelu(dense(state, "G.compress.0", representation))

    def aware(name: str, x: Array) -> Array:
        kernels = dense(state, f"{name}.kernel.2", lrelu(dense(state, f"{name}.kernel.0", v)))
        batch, channels = x.shape[:2]
        one_by_one = x.reshape(1, batch * channels, *x.shape[2:])
        apart = kernels.reshape(-1, 1, 1, 3, 3)
        y = np.concatenate([correlate(one_by_one[:, i : i + 1], weight, 1) for i, weight in enumerate(apart)], axis=1)
        y = conv(state, f"{name}.conv", lrelu(y.reshape(x.shape)))
        gate = lrelu(conv(state, f"{name}.ca.conv_du.0", v[:, :, None, None]))
        return y + x * sigmoid(conv(state, f"{name}.ca.conv_du.2", gate))

    x = head = conv(state, "G.head.0", conv(state, "G.sub_mean", lr))
    groups = count(state, "G.body") - 1
    for g in range(groups):
        start, blocks = x, count(state, f"G.body.{g}.body") - 1
        for i in range(blocks):
            name = f"G.body.{g}.body.{i}"
            y = lrelu(conv(state, f"{name}.conv1", lrelu(aware(f"{name}.da_conv1", x))))
            x = x + conv(state, f"{name}.conv2", lrelu(aware(f"{name}.da_conv2", y)))
        x = start + conv(state, f"G.body.{g}.body.{blocks}", x)
    x = conv(state, f"G.body.{groups}", x) + head
    sr = conv(state, "G.add_mean", conv(state, "G.tail.1", shuffled(conv(state, "G.tail.0.0", x), 2)))
    return {"sr": last(sr), "representation": representation}


_NORM = ("weight", "bias", "running_mean", "running_var")


def dcls(state: State, lr: Array, steps: int = 1) -> dict[str, Array]:
    """Image and kernel, of ×2 with 11×11 kernels and a softmax; the kernel is a convolution kernel."""
    f = x = conv(state, "Estimator.head.0", lr)
    for i in range(3):
        x = residual(state, f"Estimator.body.0.{i}", x, 0.1)
    x = lrelu(conv(state, "Estimator.tail.0", f + x, padding=0))
    latent = conv(state, "Estimator.tail.4", mean(conv(state, "Estimator.tail.2", x, padding=0)))[:, :, 0, 0]
    kernel = np.stack([_impulse_response(state, one) for one in latent])
    first = features = conv(state, "Restorer.conv_first", lr)
    for i in range(3):
        features = residual(state, f"Restorer.feature_block.{i}", features, 0.1)
    b, a = conv(state, "Restorer.head1", features), _deconvolved(state, features, kernel)

    def attended(name: str, x: Array) -> Array:
        return x * sigmoid(conv(state, f"{name}.2", relu(conv(state, f"{name}.0", mean(x)))))

    for g in range(count(state, "Restorer.body")):
        for i in range(count(state, f"Restorer.body.{g}.body")):
            name = f"Restorer.body.{g}.body.{i}"
            fa, fb = (
                conv(state, f"{name}.{path}.2", lrelu(conv(state, f"{name}.{path}.0", x)))
                for path, x in (("body1", a), ("body2", b))
            )
            both = conv(state, f"{name}.CA_body1.1", lrelu(np.concatenate([fa, fb], axis=1)))
            a, b = a + attended(f"{name}.CA_body1.2.conv_du", both), b + attended(f"{name}.CA_body2.conv_du", fb)
        a, b = 2 * a, 2 * b
    x = conv(state, "Restorer.fusion", np.concatenate([b, a], axis=1)) + first
    sr = conv(state, "Restorer.upscale.2", shuffled(conv(state, "Restorer.upscale.0", x), 2))
    return {"sr": last(np.clip(sr, 0, 1)), "kernel": kernel}


def _impulse_response(state: State, latent: Array) -> Array:
    x = np.ones((1, 3, 1, 1))
    for i, size in enumerate((7, 3, 3, 1)):
        weight = dense(state, f"Estimator.dec.{i}", latent).reshape(-1, x.shape[1], size, size)
        x = correlate(x, weight, 10 if i == 0 else 0)
    kernel = x[0, :, ::-1, ::-1].mean(axis=0)
    kernel = np.exp(kernel - kernel.max())
    return kernel / kernel.sum()


def _deconvolved(state: State, features: Array, kernel: Array) -> Array:
    reduced, size = conv(state, "Restorer.head2.reduce_feature", features), kernel.shape[-1]
    x = reduced
    for i in (0, 2, 4):
        x = conv(state, f"Restorer.head2.grad_filter.{i}", x, padding=0)
        x = lrelu(x) if i < 4 else x
    bins = [[(i * n // 3, -(-(i + 1) * n // 3)) for i in range(3)] for n in x.shape[2:]]
    pooled = np.array([[x[:, :, r0:r1, c0:c1].mean(axis=(2, 3)) for c0, c1 in bins[1]] for r0, r1 in bins[0]])
    smooth = np.exp(conv(state, "Restorer.head2.grad_filter.6", pooled.transpose(2, 3, 0, 1)))
    smooth = smooth - mean(smooth)
    padded = np.pad(reduced, [(0, 0), (0, 0), (size, size), (size, size)], mode="edge")

    def transform(weights: Array) -> Array:
        full = np.zeros((*weights.shape[:2], *padded.shape[2:]))
        side = weights.shape[-1]
        full[:, :, :side, :side] = weights
        return np.fft.fft2(np.roll(full, (-(side // 2),) * 2, (2, 3)))

    k, p = transform(kernel[:, None]), transform(smooth)
    sharp = np.fft.ifft2(k.conj() * np.fft.fft2(padded) / (np.abs(k) ** 2 + np.abs(p) ** 2)).real
    return conv(state, "Restorer.head2.expand_feature", sharp[:, :, size:-size, size:-size])


def last(x: Array) -> Array:
    """Channels last, of [..., C, H, W]."""
    return np.moveaxis(x, -3, -1)


FORMS: dict[str, typing.Callable[..., dict[str, Array]]] = {
    "kerneldan": realdan,
    "realdan": realdan,
    "ikc": ikc,
    "dasr": dasr,
    "dcls": dcls,
}
# The authors' outputs that each form is compared with: file, and names there of what the form returns.
AUTHORS = {
    "kerneldan": ("kerneldan_x2", {"sr": "sr_steps", "degradation": "deg_steps"}),
    "realdan": ("realdan_rrdb_x4", {"sr": "sr_steps", "degradation": "deg_steps"}),
    "ikc": ("ikc_x2", {"sr": "sr", "code": "code", "predicted": "code_predicted"}),
    "dasr": ("dasr_x2", {"sr": "sr", "representation": "representation"}),
    "dcls": ("dcls_x2_setting2", {"sr": "sr_softmax", "kernel": "kernel_softmax"}),
}
# Widths of the small networks by those of the authors' outputs; where a name has other ones; what stays as it is.
WIDTHS: dict[str, dict[str, dict[int, int]]] = {
    "kerneldan": {"": {32: 6, 96: 18, 128: 24}, "mean": {}},
    "realdan": {"": {24: 4, 72: 12, 56: 36, 88: 68, 120: 100, 152: 132, 96: 16}, "mean": {}},
    "ikc": {"": {64: 4, 256: 16, 74: 7, 24: 4, 48: 8, 10: 3}},
    "dasr": {"": {64: 8, 576: 72, 8: 1, 256: 32, 32: 8, 24: 6, 16: 4}, "G.sub_mean": {}, "G.add_mean": {}},
    "dcls": {"": {32: 8, 8: 4, 40: 12, 128: 32, 2: 1}, "CA_body1.2": {32: 8, 8: 2}}
    | {"Estimator.tail.4": {32: 8, 8: 2}, "Estimator.dec": {8: 2}},
}
IKC = ("SFTMD", "Predictor", "Corrector")
GAIN = {"kerneldan": 1.0, "dasr": 1.0, "dcls": 0.7}  # of the weights, so that images lie between 0 and 1
DRAWN = {"realdan": 0.6, "ikc": 0.9}  # those whose tensors are drawn, and the gain of their weights
STEPS = 3  # of KernelDAN, RealDAN and IKC


def smaller(name: str, state: State, rng: np.random.Generator) -> State:
    """Tensors of fewer channels, drawn from the values of the given ones, scaled to the fan-in; float16 holds them."""
    new = {}
    for key, x in state.items():
        shape = smaller_shape(name, key, x.shape)
        if shape is None:
            new[key] = x
            continue
        gain = (np.prod(x.shape[1:]) / np.prod(shape[1:])) ** 0.5 * (GAIN[name] if x.ndim == 4 else 1.0)
        new[key] = np.float32(np.float16(rng.choice(x.ravel(), shape) * gain))
    return new


def smaller_shape(name: str, key: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of a tensor with fewer channels; None if it stays as it is."""
    widths = [w for part, w in WIDTHS[name].items() if part in key][-1]
    return tuple(widths.get(side, side) for side in shape) if widths and shape else None


def drawn(shapes: dict[str, list[int]], gain: float) -> State:
    """Tensors of given shapes, from a stream of numbers that NumPy keeps as it is in all versions.

    The mean colour of RealDAN is what it must be. IKC's images, which are clipped, are grey on average.
    """
    stream, state = np.random.RandomState(0), {}
    for key, shape in shapes.items():
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
        x = stream.uniform(-1, 1, shape) * gain * (3 / fan_in) ** 0.5
        state[key] = np.float32(MEAN if key == "mean" else x + 0.4 if key == "SFTMD.conv_output.bias" else x)
    return state


def read(folder: pathlib.Path, name: str) -> State:
    """Tensors of the authors' files; those of an IKC with the names of its three networks before them."""
    if name != "ikc":
        return read_torch_checkpoint(folder / f"{AUTHORS[name][0]}.pth")
    files = {part: read_torch_checkpoint(folder / f"{AUTHORS[name][0]}_{part.lower()}.pth") for part in IKC}
    return {f"{part}.{key}": x for part, state in files.items() for key, x in state.items()}


def _short(x: Array) -> Array:
    """As float16 where that loses nothing."""
    return np.float16(x) if x.dtype == np.float32 and (np.float16(x) == x).all() else x


def check(got: Array, want: Array, what: str) -> None:
    error = np.abs(got - want).max() / np.abs(want).max()
    print(f"{what}: {error:.1e} from the authors' code")
    if not error <= AGREEMENT:
        raise SystemExit(f"{what} does not reproduce the authors' outputs; nothing was written for it")


def main(reference: str) -> None:
    folder = pathlib.Path(reference) / "field"
    for name, form in FORMS.items():
        file, parts = AUTHORS[name]
        golden, state = np.load(folder / f"{file}_io.npz"), read(folder, name)
        steps = len(golden["sr"]) if name == "ikc" else STEPS
        found = form(state, np.moveaxis(np.float64(golden["lr"]), -1, 1), steps)
        for part, there in parts.items():
            check(found[part], golden[there], f"{name}, {part}")
        rng = np.random.default_rng(0)
        if name in DRAWN:
            shapes = {key: smaller_shape(name, key, x.shape) or x.shape for key, x in state.items()}
            state = drawn(shapes, DRAWN[name])
        else:
            state = smaller(name, state, rng)
        lr = rng.random((1, 9, 10, 3), np.float32)
        made = form(state, np.moveaxis(np.float64(lr) * (255 if name == "dasr" else 1), -1, 1), STEPS)
        tensors = {f"state/{key}": _short(x) for key, x in state.items()}
        if name in DRAWN:
            tensors = {"shapes": np.array(json.dumps(shapes)), "gain": np.array(DRAWN[name])}
            made["sr"] = made["sr"][..., :16, :16, :]
        made = {part: np.float32(x) for part, x in made.items()}
        np.savez_compressed(FOLDER / f"{name}.npz", lr=lr, **made, **tensors)


if __name__ == "__main__":
    main(*sys.argv[1:])
