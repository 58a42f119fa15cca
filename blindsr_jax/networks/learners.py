"""Methods that learn from the picture itself: KernelGAN and ZSSR. They have no weights, only options.

They are networks to the rest of the package by their facts. Nothing trains them and no bundle holds them, so they are
not among ``registry.MODELS``.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from blindsr_jax.errors import ConfigError
from blindsr_jax.internal_learning.estimated_kernels import significant, squared_scale, to_block_centres
from blindsr_jax.internal_learning.kernelgan import KernelGANOptions, learn_kernels
from blindsr_jax.internal_learning.kernelgan_losses import Colours
from blindsr_jax.internal_learning.learning_rates import Policy
from blindsr_jax.internal_learning.watching import Watch
from blindsr_jax.internal_learning.zssr import ZSSROptions, restore
from blindsr_jax.internal_learning.zssr_step import Start
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import build_checked


class KernelGAN(Network):
    """KernelGAN: a kernel of ×2 from the patches of one picture; that of ×4 follows from it.

    Attributes:
      scale: 2, or 4, whose kernel is that of two times ×2.
      steps, seed, attempts, real, colours, noise: see ``internal_learning.kernelgan.KernelGANOptions``.
    """

    scale: typing.Literal[2, 4] = 2
    steps: int = 2000
    seed: int = 1
    attempts: int = 3
    real: bool = False
    colours: Colours = "each"
    noise: typing.Literal["fresh", "accumulating"] = "fresh"

    learns: typing.ClassVar[bool] = True
    restores: typing.ClassVar[bool] = False
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {"downsample": "s_fold"}

    def learn(self, images: np.ndarray, watch: Watch) -> np.ndarray:
        """Learn the kernels of pictures [B, H, W, 3] in [0, 1].

        Returns:
          float32 [2, B, K, K]: the raw kernels, scaled to sum to one, and the final ones, without their weak weights
          and moved to the blocks' centres. K is that of the largest, 17 at ×2 and 33 at ×4 as a rule.

        Raises:
          DataError: see ``internal_learning.kernelgan.learn_kernels``.
        """
        raw = [kernel / kernel.sum() for kernel in learn_kernels(list(images), _options(KernelGANOptions, self), watch)]
        final = [to_block_centres(significant(kernel), 2) for kernel in raw]
        if self.scale == 4:
            raw, final = ([squared_scale(kernel) for kernel in kernels] for kernels in (raw, final))
        size = max(kernel.shape[0] for kernel in raw + final)
        padded = [[np.pad(kernel, (size - kernel.shape[0]) // 2) for kernel in kernels] for kernels in (raw, final)]
        return np.float32(padded)


class ZSSR(Network):
    """ZSSR: a network of eight convolutions that is trained on one picture to undo a known blur.

    Attributes: see ``internal_learning.zssr.ZSSROptions``.
    """

    steps: int = 1000
    seconds: float = 0.0
    policy: Policy = "annealed"
    start: Start = "he"
    seed: int = 1
    real: bool = False
    back_projections: int = 4
    moves_kernel: bool = False
    ensemble: bool = False

    learns: typing.ClassVar[bool] = True
    blind: typing.ClassVar[bool] = False
    estimates_kernel: typing.ClassVar[bool] = False
    scales: typing.ClassVar[tuple[int, ...]] = (2, 3, 4)
    iterations: typing.ClassVar[None] = None

    def restore(self, lr: np.ndarray, kernel: np.ndarray, scale: int, sigma: float, watch: Watch) -> np.ndarray:
        """Restore one picture [H, W, 3]: see ``internal_learning.zssr.restore``."""
        return restore(lr, kernel, scale, _options(ZSSROptions, self), sigma=sigma, watch=watch)


LEARNERS: dict[str, type[Network]] = {"kernelgan": KernelGAN, "zssr": ZSSR}
_Options = typing.TypeVar("_Options")


def build_learner(name: str, **options: typing.Any) -> Network:
    """A method of ``LEARNERS`` with its options.

    Raises:
      ConfigError: an option's name or its value is not one that the method has.
    """
    return build_checked(name, LEARNERS[name], options)


def options_from_text(text: str, fixed: typing.Collection[str] = ()) -> dict[str, typing.Any]:
    """Read options such as ``steps=3000,colours=sum,real=true``.

    Args:
      text: the options.
      fixed: names that are no options, because they are said otherwise.

    Raises:
      ConfigError: a part is not of the form NAME=VALUE, or a name is fixed or there twice.
    """
    options: dict[str, typing.Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{part!r} is no option: write NAME=VALUE, several with commas between them")
        if name in fixed:
            raise ConfigError(f"{name} is no option: the model's name says it")
        if name in options:
            raise ConfigError(f"{name} is given twice: leave one out")
        options[name] = _value(value)
    return options


def _value(text: str) -> typing.Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _options(kind: typing.Callable[..., _Options], learner: Network) -> _Options:
    """The fields of a learner as options."""
    return kind(**{field.name: getattr(learner, field.name) for field in dataclasses.fields(kind)})
