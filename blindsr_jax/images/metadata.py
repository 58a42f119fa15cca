"""Metadata of an image file, as far as it still holds for the restored image."""

from __future__ import annotations

import dataclasses
import re
import struct
import typing

from blindsr_jax.images.libvips import libvips
from blindsr_jax.images.opening import OpenImage

Vips = typing.Any  # a pyvips.Image; pyvips is imported lazily
_COLOUR_SPACE = slice(16, 20)  # the colour space in the header of an ICC profile
_BLOBS = ("xmp-data", "iptc-data")
_THUMBNAIL = "exif-ifd1-"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>))[1-8]")


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Colour profile, EXIF, XMP, IPTC and resolution.

    Attributes:
      icc_profile: the colour profile's bytes, or None.
      fields: EXIF, XMP and IPTC by libvips' names, without the orientation and the thumbnail.
      resolution: pixels per millimetre horizontally and vertically, or None.
    """

    icc_profile: bytes | None = None
    fields: dict[str, bytes | str] = dataclasses.field(default_factory=dict)
    resolution: tuple[float, float] | None = None

    def stripped(self) -> Metadata:
        """The colour profile alone."""
        return Metadata(self.icc_profile)

    def added_to(self, image: Vips, *, grey: bool) -> Vips:
        """A copy of the image with this metadata. The profile is left out unless it fits the channels, grey or RGB."""
        types = libvips().GValue
        image = image.copy(**dict(zip(("xres", "yres"), self.resolution or ())))
        profile = self.icc_profile
        if profile and profile[_COLOUR_SPACE] == (b"GRAY" if grey else b"RGB "):
            image.set_type(types.blob_type, "icc-profile-data", profile)
        for name, value in self.fields.items():
            image.set_type(types.gstr_type if isinstance(value, str) else types.blob_type, name, value)
        if "exif-data" in self.fields:
            image.set_type(types.gint_type, "orientation", 1)
        return image


def metadata_of(image: OpenImage) -> Metadata:
    """The metadata of a file to carry over. The orientation is dropped because the decoded image is upright."""
    exif = _without_thumbnail(_blob(image, "exif-data"))
    fields = {name: x for name, x in image.fields.items() if name in _BLOBS or (exif and _of_picture(name))}
    if exif:
        fields["exif-data"] = exif
    if "xmp-data" in fields:
        fields["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", _blob(image, "xmp-data"))
    return Metadata(_blob(image, "icc-profile-data") or None, fields, image.resolution)


def _blob(image: OpenImage, name: str) -> bytes:
    """The bytes of a field; empty if there are none."""
    value = image.fields.get(name)
    return value if isinstance(value, bytes) else b""


def _of_picture(name: str) -> bool:
    return name.startswith("exif-ifd") and not name.startswith(_THUMBNAIL) and not name.endswith("-Orientation")


def _without_thumbnail(exif: bytes) -> bytes:
    """EXIF with the link from the first directory to the second, the thumbnail's, cleared; empty if damaged there."""
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = "<" if exif[start : start + 2] == b"II" else ">"
    try:
        first = start + struct.unpack_from(order + "I", exif, start + 4)[0]
        link = first + 2 + 12 * struct.unpack_from(order + "H", exif, first)[0]
    except struct.error:
        return b""
    return exif[:link] + bytes(4) + exif[link + 4 :] if link + 4 <= len(exif) else b""
