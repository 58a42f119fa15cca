"""Tables from the tensor names of the authors' PyTorch checkpoints to parameter paths here, one table per model.

A row is (PyTorch name, path here). ``{n}`` and ``{m}`` are block numbers. Convolution weights change from
[out, in, h, w] to [h, w, in, out], matrices from [out, in] to [in, out]. The leaves ``weight`` and ``bias`` become
``kernel`` and ``bias``.
"""

from __future__ import annotations

import re
import typing

import numpy as np

_CRB = [
    ("body.{n}.body.0", "body/{n}/conv1"),
    ("body.{n}.body.2", "body/{n}/conv2"),
    ("body.{n}.body.3.body.0", "body/{n}/attention/squeeze"),
    ("body.{n}.body.3.body.2", "body/{n}/attention/excite"),
]


def _dpcb(torch: str, path: str) -> list[tuple[str, str]]:
    """A dual-path block: body1 is the image path, body2 the condition path. Entries 0 and 2 are convolutions."""
    places = [("body1.0", "f1"), ("body1.2", "f2"), ("body2.0", "g1"), ("body2.2", "g2")]
    return _under(torch, path, places)


def _under(torch: str, path: str, rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(f"{torch}.{name}", f"{path}/{where}") for name, where in rows]


def _upscale(stages: int) -> list[tuple[str, str]]:
    """The upsampler, a Sequential: convolutions alternate with pixel shuffles, and the last one outputs the image."""
    if stages == 0:
        return [("upscale", "upscale/out")]
    return [(f"upscale.{2 * i}", f"upscale/up{i}") for i in range(stages)] + [(f"upscale.{2 * stages}", "upscale/out")]


def _danv1(stages: int) -> list[tuple[str, str]]:
    restorer = [("head", "head"), ("fusion", "fusion"), *_CRB, *_upscale(stages)]
    estimator = [("head_LR", "head_lr"), ("head_HR", "head_hr"), ("out", "out"), *_CRB]
    return _under("Restorer", "restorer", restorer) + _under("Estimator", "estimator", estimator)


def _danv2(stages: int) -> list[tuple[str, str]]:
    restorer = [
        ("head1", "head_lr"),
        ("head2", "head_code"),
        ("fusion", "fusion"),
        *_dpcb("body.{n}.body.{m}", "body/{n}/body/{m}"),
        *_upscale(stages),
    ]
    estimator = [
        ("head_LR.0", "head_lr"),
        ("head_HR.0", "head_hr"),
        ("tail.0", "tail"),
        ("tail.2", "out"),
        *_dpcb("body.body.{n}", "body/body/{n}"),
    ]
    return _under("Restorer", "restorer", restorer) + _under("Estimator", "estimator", estimator)


def _dssr(stages: int) -> list[tuple[str, str]]:
    affine = [(f"conv{i}", f"conv{i}") for i in range(1, 5)] + [("conv_gama", "gamma"), ("conv_beta", "beta")]
    block = [("conv1", "conv1"), ("conv2", "conv2")]
    return [
        ("conv1", "head"),
        ("compress_in", "compress"),
        ("up", "up"),
        ("down", "down"),
        ("conv_recon", "detail_out"),
        ("conv2", "detail_in"),
        *_under("spatial_trans1", "modulate_hr", affine),
        *_under("spatial_trans2", "modulate_lr", affine),
        *_under("feat_ext.crb.crb.{n}", "body/{n}", block),
        *_under("feat_refine.crb.crb.{n}", "refine/{n}", block),
        *[(name.replace("upscale", "UPNet"), where) for name, where in _upscale(stages)],
    ]


def _dcls(stages: int) -> list[tuple[str, str]]:
    block = [("conv1", "conv1"), ("conv2", "conv2")]
    attention = [("conv_du.0", "squeeze"), ("conv_du.2", "excite")]
    group = [
        *[("body1.0", "a1"), ("body1.2", "a2"), ("body2.0", "b1"), ("body2.2", "b2"), ("CA_body1.1", "joint")],
        *_under("CA_body1.2", "attention_a", attention),
        *_under("CA_body2", "attention_b", attention),
    ]
    restorer = [
        ("conv_first", "head"),
        *_under("feature_block.{n}", "look/{n}", block),
        ("head1", "plain"),
        ("head2.reduce_feature", "deconvolution/reduce"),
        *[(f"head2.grad_filter.{i}", f"deconvolution/smooth{i // 2 + 1}") for i in (0, 2, 4)],
        ("head2.grad_filter.6", "deconvolution/smooth_out"),
        ("head2.expand_feature", "deconvolution/expand"),
        *_under("body.{n}.body.{m}", "body/{n}/body/{m}", group),
        ("fusion", "fusion"),
        *_upscale(stages),
    ]
    estimator = [
        ("head.0", "head"),
        *_under("body.0.{n}", "body/{n}", block),
        *[("tail.0", "tail1"), ("tail.2", "tail2"), ("tail.4", "latent"), ("dec.{n}", "filters_{n}")],
    ]
    return _under("Restorer", "restorer", restorer) + _under("Estimator", "estimator", estimator)


def _dasr(stages: int) -> list[tuple[str, str]]:
    aware = [("kernel.0", "kernel1"), ("kernel.2", "kernel2"), ("conv", "mix")]
    aware += [("ca.conv_du.0", "squeeze"), ("ca.conv_du.2", "excite")]
    block = [("conv1", "conv1"), ("conv2", "conv2")]
    for i in (1, 2):
        block += _under(f"da_conv{i}", f"aware{i}", aware)
    restorer = [
        ("head.0", "head"),
        ("compress.0", "compress"),
        *_under("body.{n}.body.{m}", "body/{n}/body/{m}", block),
        ("body.{n}.out", "body/{n}/out"),
        ("fusion", "fusion"),
        *[(f"tail.0.{2 * i}", f"upscale/up{i}") for i in range(stages)],
        ("tail.1", "upscale/out"),
    ]
    encoder = [(f"{3 * i}", f"conv{i + 1}") for i in range(6)]
    return _under("G", "restorer", restorer) + _under("E.encoder_q.E", "encoder", encoder)


def _ikc(stages: int) -> list[tuple[str, str]]:
    """SFTMD, Predictor and Corrector have prefixes here; in the authors' files they have none."""
    sft = [(f"{kind}_conv{i}", f"{here}{i}") for kind, here in (("mul", "gamma"), ("add", "beta")) for i in (1, 2)]
    block = [("conv1", "conv1"), ("conv2", "conv2"), *_under("sft1", "sft1", sft), *_under("sft2", "sft2", sft)]
    restorer = [
        *[(f"conv{i}", f"head{i}") for i in (1, 2, 3)],
        *_under("body.{n}", "body/{n}", block),
        *_under("sft", "sft", sft),
        ("conv_mid", "fusion"),
        *[(f"upscale.{3 * i}", f"up{i}") for i in range(stages)],
        ("conv_output", "out"),
    ]
    convolutions = [(f"ConvNet.{2 * i}", f"conv{i}") for i in range(7)]
    corrector = [
        *convolutions,
        *[(f"code_dense.{2 * i}", f"code{i + 1}") for i in range(2)],
        *[(f"global_dense.{2 * i}", f"joint{i + 1}") for i in range(3)],
    ]
    return [
        *_under("SFTMD", "restorer", restorer),
        *_under("Predictor", "predictor", convolutions[:6]),
        *_under("Corrector", "estimator", corrector),
    ]


def _realdan(stages: int) -> list[tuple[str, str]]:
    restorer = [("conv1", "conv1"), ("conv2", "conv2")]  # of kind edsr
    restorer += [(f"rdb{i}.conv{j}", f"rdb{i}/conv{j}") for i in range(1, 4) for j in range(1, 6)]
    return [
        ("img_head", "image_head"),
        ("deg_head", "degradation_head"),
        ("Restorer.fusion", "restorer/fusion/conv"),
        ("Estimator.fusion", "estimator/fusion/conv"),
        *_under("Restorer.body.{n}", "restorer/body/{n}", restorer),
        *_under("Estimator.body.{n}", "estimator/block{n}", [("body.2", "conv1"), ("body.5", "conv2")]),
        ("Estimator.out", "estimator/out"),
        ("img_tail.0", "image_tail"),
        *[(f"img_tail.1.{2 * i}", f"upscale/up{i}") for i in range(stages)],
        ("img_tail.2", "upscale/out"),
        ("deg_tail.0", "degradation_tail"),
    ]


def _resunet(blocks: int) -> list[tuple[str, str]]:
    """A ResUNet, with one Sequential per size.

    On the way down the strided convolution follows the blocks; on the way up the transposed one precedes them. The
    authors' code replaces a Sequential of one block by the block itself.
    """
    rows = [("m_head", "head"), ("m_tail", "tail")]
    for level in (1, 2, 3):
        rows += [(f"m_down{level}.{blocks}", f"down{level}"), (f"m_up{level}.0", f"up{level}")]
    for n in range(blocks):
        places = [("m_body" if blocks == 1 else f"m_body.{n}", f"body/{n}")]
        for level in (1, 2, 3):
            places += [(f"m_down{level}.{n}", f"encode{level}/{n}"), (f"m_up{level}.{n + 1}", f"decode{level}/{n}")]
        for torch, path in places:
            rows += _under(torch, path, [("res.0", "conv1"), ("res.2", "conv2")])
    return rows


def _usrnet(blocks: int) -> list[tuple[str, str]]:
    hyper = [("mlp.0", "fc1"), ("mlp.2", "fc2"), ("mlp.4", "fc3")]
    return _under("p", "prior", _resunet(blocks)) + _under("h", "hyper", hyper)


def _drunet(blocks: int) -> list[tuple[str, str]]:
    return [(name, f"unet/{path}") for name, path in _resunet(blocks)]


TABLES: dict[str, typing.Callable[[int], list[tuple[str, str]]]] = {
    "danv1": _danv1,
    "danv2": _danv2,
    "dssr": _dssr,
    "dcls": _dcls,
    "dasr": _dasr,
    "ikc": _ikc,
    "kerneldan": _realdan,
    "realdan": _realdan,
    "usrnet": _usrnet,
    "drunet": _drunet,
}
# Transposed convolutions are [in, out, h, w] in PyTorch, and rotated by 180 degrees relative to those here.
_TRANSPOSED = {("dssr", "up")} | {
    (model, f"{place}/up{level}") for model, place in (("usrnet", "prior"), ("drunet", "unet")) for level in (1, 2, 3)
}
_LEAVES = {"weight": "kernel", "bias": "bias"}


def to_paths(model: str, parts: int, state: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rename the parameters of a state dict and convert their layout.

    Args:
      model: a key of ``TABLES``.
      parts: the number on which the names depend: sub-pixel stages of the upsampler (×4: 2, ×2 and ×3: 1, ×1: 0), or
        residual blocks at each size of a ResUNet.
      state: arrays by PyTorch's names.

    Returns:
      {path: array in the layout of this package}, and the names that are not in the table.
    """
    table = TABLES[model](parts)
    exact = {torch: path for torch, path in table if "{" not in torch}  # thousands of rows for a ResUNet of many blocks
    rules = [(_compile(torch), path) for torch, path in table if "{" in torch]
    found: dict[str, typing.Any] = {}
    unknown: list[str] = []
    numbers: dict[str, str]
    for name, array in state.items():
        stem, _, torch_leaf = name.rpartition(".")
        path, numbers = exact.get(stem, ""), {}
        if not path:
            matches = ((path, pattern.fullmatch(stem)) for pattern, path in rules)
            path, numbers = next(((path, match.groupdict()) for path, match in matches if match), ("", {}))
        if not path or torch_leaf not in _LEAVES:
            unknown.append(name)
            continue
        found[f"{path.format(**numbers)}/{_LEAVES[torch_leaf]}"] = _relay(array, (model, path) in _TRANSPOSED)
    return found, unknown


def _compile(torch: str) -> re.Pattern[str]:
    pattern = re.escape(torch).replace(r"\{n\}", r"(?P<n>\d+)").replace(r"\{m\}", r"(?P<m>\d+)")
    return re.compile(pattern)


def _relay(array: np.ndarray, transposed: bool) -> np.ndarray:
    if array.ndim == 2:
        return np.ascontiguousarray(array.T)
    if array.ndim != 4:
        return array
    return np.ascontiguousarray(
        array[:, :, ::-1, ::-1].transpose(2, 3, 0, 1) if transposed else array.transpose(2, 3, 1, 0)
    )
