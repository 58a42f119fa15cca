"""The models that the page offers: packaged models that restore, pairs of them, and models of the command line."""

from __future__ import annotations

import dataclasses
import re
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.inference.loading import load, name_in_reports
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pipeline import Pipeline, pipeline
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.solver import Solver
from blindsr_jax.weights import zoo

# A title and a sentence for each family of packaged models, in the words of people with photographs, in the page's
# order. Other packaged models follow with their name and their line in ``blindsr models``.
_PURPOSES: dict[str, tuple[str, str]] = {
    "dan-lite": ("Soft or out of focus", "Finds a round blur and undoes it. For clean pictures without grain."),
    "dan-lite-noise": ("Soft and grainy", "Finds a round blur in a noisy picture, and removes the noise."),
    "dan-lite-photo": ("Any everyday picture", "Finds blur, noise and JPEG compression, and undoes them."),
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
_KERNEL_SIDE = 25  # side of handmade kernels for models that take any size


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """One entry in the page's list of models.

    Attributes:
      name: name of the family, such as ``dan-lite``, or the name given on the command line.
      title: the kind of picture that it is for.
      line: one sentence about it.
      models: its models by scale, ready to restore.
    """

    name: str
    title: str
    line: str
    models: dict[int, Restorer]

    @property
    def scales(self) -> list[int]:
        """The scales of its models, in ascending order."""
        return sorted(self.models)


def kernel_side(model: Restorer) -> int:
    """K of a model's kernels, or a usual size for solvers that take any."""
    return model.kernel_size or _KERNEL_SIDE


def find_model_choices(further: typing.Sequence[str] = ()) -> list[ModelChoice]:
    """Find all models that the page offers.

    Args:
      further: names or files as ``load`` takes them; they come first.

    Raises:
      WeightsError: as ``load``.
      DataError: one of ``further`` only estimates kernels; or there are no models.
    """
    model_choices = [_from_command_line(name) for name in further]
    model_choices += _packaged()
    if not model_choices:
        raise DataError("this version has no packaged models that restore: name one with --model NAME_OR_FILE")
    return model_choices


def _from_command_line(name: str) -> ModelChoice:
    models = _by_scale(load(name))
    if not all(model.restores for model in models.values()):
        raise DataError(f"--model {name}: it only estimates kernels; join it with a solver: --model {name}+usrnet-tiny")
    kind = repr(next(iter(models.values())))
    return ModelChoice(name, name_in_reports(name), f"Given on the command line: {kind}.", models)


def _packaged() -> list[ModelChoice]:
    """Find the families of packaged models, and join each packaged estimator with each packaged solver."""
    lines = zoo.models()
    loaded = {name: load(name) for name in lines}
    ready = {name: _by_scale(model) for name, model in loaded.items()}
    solvers = [name for name, models in ready.items() if all(model.needs_kernel for model in models.values())]
    families: dict[str, dict[int, Restorer]] = {}
    about: dict[str, str] = {}
    for name, models in ready.items():
        if all(model.restores for model in models.values()):
            members = {_family(name): models}
        else:
            members = {
                f"{_family(name)}+{other}": {scale: pipeline(model, loaded[other]) for scale, model in models.items()}
                for other in solvers
            }
        for family, own in members.items():
            families.setdefault(family, {}).update(own)
            about.setdefault(family, lines[name])
    first = _family(zoo.default_model())  # what the command line takes if no model is named
    known = sorted((family for family in _PURPOSES if family in families), key=lambda family: family != first)
    order = known + [family for family in families if family not in _PURPOSES]
    return [ModelChoice(name, *_PURPOSES.get(name, (name, about[name])), families[name]) for name in order]


def _family(name: str) -> str:
    """A packaged model's name without its scale.

    >>> _family("dan-lite-noise-x4"), _family("dan-lite-x2"), _family("usrnet-tiny")
    ('dan-lite-noise', 'dan-lite', 'usrnet-tiny')
    """
    return re.sub(r"-x\d$", "", name)


def _by_scale(loaded: Model | Solver | Pipeline) -> dict[int, Restorer]:
    return {scale: loaded.at_scale(scale) for scale in loaded.scales}
