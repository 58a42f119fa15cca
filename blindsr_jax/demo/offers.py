"""Which models the page offers: the packaged ones that restore, pairs of them, and those of the command line."""

from __future__ import annotations

import dataclasses
import re
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.inference.loading import load, name_in_reports
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.solver import Pipeline, Solver, pipeline
from blindsr_jax.weights import zoo

# What packaged models are for, in the words of somebody with a photograph: a title, and a line below it. In the order
# of the page; models that are not among them follow with their name and the line of ``blindsr models``.
_PURPOSES: dict[str, tuple[str, str]] = {
    "dan-lite": ("Soft or out of focus", "Finds a round blur and undoes it. For clean pictures without grain."),
    "dan-lite-noise": ("Soft and grainy", "Finds a round blur in a noisy picture, and removes the noise."),
    "dan-lite-aniso": (
        "Blurred in one direction",
        "Finds a blur that is wider one way than the other: a slight shake.",
    ),
    "kernelnet+usrnet-tiny": (
        "Any blur, for experiments",
        "KernelNet finds a kernel of any form, USRNet undoes it. Made for pictures of which every s-th pixel was kept.",
    ),
    "usrnet-tiny": ("You know the blur", "USRNet undoes the blur that you give it: a Gaussian, a drawing or a file."),
}
_KERNEL_SIDE = 25  # of kernels made by hand for models that take any


@dataclasses.dataclass(frozen=True)
class Offer:
    """One line in the page's list of models.

    Attributes:
      name: of the family, ``dan-lite``, or what the command line says.
      title: what it is for.
      line: one sentence on it.
      models: by scale, each ready to restore.
    """

    name: str
    title: str
    line: str
    models: dict[int, Model | Pipeline]

    @property
    def scales(self) -> list[int]:
        """Of its models, rising."""
        return sorted(self.models)


def kernel_side(model: Model | Pipeline) -> int:
    """K of the kernels that a model works with, or a usual one for solvers that take any."""
    network = model.estimator.module if isinstance(model, Pipeline) and model.estimator else model.module
    return getattr(network, "kernel_size", None) or _KERNEL_SIDE


def told_noise(model: Model | Pipeline) -> bool:
    """Whether a model is told how noisy the picture is."""
    return isinstance(model, Pipeline)


def find_offers(further: typing.Sequence[str] = ()) -> list[Offer]:
    """All that the page offers.

    Args:
      further: names or files as ``load`` takes them, which stand first.

    Raises:
      WeightsError: as ``load``.
      DataError: one of ``further`` only estimates kernels; or there is nothing to offer.
    """
    offers = [_as_offer(name) for name in further]
    offers += _packaged()
    if not offers:
        raise DataError("this version has no packaged models that restore: name one with --model NAME_OR_FILE")
    return offers


def _as_offer(name: str) -> Offer:
    model = load(name)
    if isinstance(model, Model) and not model.restores:
        raise DataError(f"--model {name}: it only estimates kernels; join it with a solver: --model {name}+usrnet-tiny")
    models = _by_scale(model)
    kind = repr(next(iter(models.values())))
    return Offer(name, name_in_reports(name), f"Given on the command line: {kind}.", models)


def _packaged() -> list[Offer]:
    """Families of packaged models, and each packaged estimator joined with each packaged solver."""
    lines, loaded = zoo.models(), {name: load(name) for name in zoo.models()}
    solvers = {name: model for name, model in loaded.items() if isinstance(model, Solver)}
    families: dict[str, dict[int, Model | Pipeline]] = {}
    about: dict[str, str] = {}
    for name, model in loaded.items():
        if isinstance(model, Solver) or model.restores:
            members = {_family(name): _by_scale(model)}
        else:
            joined = {other: pipeline(model, solver) for other, solver in solvers.items()}
            members = {f"{_family(name)}+{other}": {model.scale: pair} for other, pair in joined.items()}
        for family, models in members.items():
            families.setdefault(family, {}).update(models)
            about.setdefault(family, lines[name])
    known = [family for family in _PURPOSES if family in families]
    order = known + [family for family in families if family not in _PURPOSES]
    return [Offer(name, *_PURPOSES.get(name, (name, about[name])), families[name]) for name in order]


def _family(name: str) -> str:
    """A packaged model's name without its scale.

    >>> _family("dan-lite-noise-x4"), _family("dan-lite-x2"), _family("usrnet-tiny")
    ('dan-lite-noise', 'dan-lite', 'usrnet-tiny')
    """
    return re.sub(r"-x\d$", "", name)


def _by_scale(model: Model | Solver | Pipeline) -> dict[int, Model | Pipeline]:
    if isinstance(model, Solver):
        scales = getattr(model.module, "scales", (1, 2, 3, 4))
        return {scale: Pipeline(None, model, scale) for scale in scales}
    return {model.scale: model}
