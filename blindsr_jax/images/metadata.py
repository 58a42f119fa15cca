"""Metadata of an image file, as far as it still holds for the restored image."""

from __future__ import annotations

import dataclasses
import typing

from blindsr_jax.images.conversions import in_srgb
from blindsr_jax.images.exif import corrected_exif, holds
from blindsr_jax.images.formats import Format
from blindsr_jax.images.libvips import libvips
from blindsr_jax.images.opening import OpenImage
from blindsr_jax.images.xmp import corrected_iptc, corrected_xmp

Vips = typing.Any  # a pyvips.Image; pyvips is imported lazily
_COLOUR_SPACE = slice(16, 20)  # the colour space in the header of an ICC profile
_CORRECTED = {"exif-data": corrected_exif, "xmp-data": corrected_xmp, "iptc-data": corrected_iptc}


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Colour profile, EXIF, XMP, IPTC and resolution.

    Attributes:
      icc_profile: the colour profile's bytes, or None.
      fields: EXIF, XMP and IPTC by libvips' names, without orientation, thumbnails and sizes.
      resolution: pixels per millimetre horizontally and vertically, or None.
    """

    icc_profile: bytes | None = None
    fields: dict[str, bytes | str] = dataclasses.field(default_factory=dict)
    resolution: tuple[float, float] | None = None

    def stripped(self) -> Metadata:
        """The colour profile alone."""
        return Metadata(self.icc_profile)

    def added_to(self, image: Vips, form: Format) -> Vips:
        """A copy of the image with this metadata, as far as a format holds it.

        A profile that does not fit the channels, grey or RGB, is left out. One that the format cannot hold beside them
        is applied: the copy is in sRGB.
        """
        types = libvips().GValue
        image = image.copy(**dict(zip(("xres", "yres"), self.resolution or ())))
        grey, profile = image.bands <= 2, self.icc_profile
        if profile and profile[_COLOUR_SPACE] == (b"GRAY" if grey else b"RGB "):
            image.set_type(types.blob_type, "icc-profile-data", profile)
            image = image if form.profile and (form.grey or not grey) else in_srgb(image)
        for name, value in self.fields.items():
            image.set_type(types.gstr_type if isinstance(value, str) else types.blob_type, name, value)
        if "exif-data" in self.fields:
            image.set_type(types.gint_type, "orientation", 1)
        return image


def metadata_of(image: OpenImage) -> Metadata:
    """The metadata of a file to carry over, without what holds no more: the decoded image is upright, and it grows."""
    blobs = {name: corrected(_blob(image, name)) for name, corrected in _CORRECTED.items()}
    fields = {name: x for name, x in image.fields.items() if blobs["exif-data"] and _of_picture(name)}
    fields |= {name: blob for name, blob in blobs.items() if blob}
    return Metadata(_blob(image, "icc-profile-data") or None, fields, image.resolution)


def _blob(image: OpenImage, name: str) -> bytes:
    """The bytes of a field; empty if there are none."""
    value = image.fields.get(name)
    return value if isinstance(value, bytes) else b""


def _of_picture(name: str) -> bool:
    return name.startswith("exif-ifd") and holds(name)
