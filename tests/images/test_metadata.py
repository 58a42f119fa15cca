"""What outputs say about themselves holds for them."""

import io
import struct
import time

import pytest
from PIL import Image

from blindsr_jax.images.reading import ImageFile, read_image
from blindsr_jax.images.writing import write_image
from blindsr_jax.images.xmp import corrected_iptc, corrected_xmp
from tests.images.colour_kinds import exif
from tests.images.picture_bytes import saved, scene

_PHONE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:c="http://ns.adobe.com/exif/1.0/"
  xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
  xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"
  xmlns:Item="http://ns.google.com/photos/1.0/container/item/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  hdrgm:Version="1.0" GCamera:MotionPhoto="1" GPano:FullPanoWidthPixels = '4000' tiff:Make="Phone > one"
  xmpNote:HasExtendedXMP="0123" tiff:ImageWidth="24" c:PixelXDimension="24">
 <Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"/></rdf:li>
 </rdf:Seq></Container:Directory>
 <c:SubjectArea><rdf:Seq><rdf:li>10</rdf:li></rdf:Seq></c:SubjectArea><tiff:Orientation>6</tiff:Orientation>
 <xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails><GPano:PoseHeadingDegrees/>
 <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A title</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()
_GONE = (b"hdrgm:V", b"MotionPhoto", b"FullPano", b"HasExtended", b"ImageWidth", b"PixelX", b"Directory", b"GainMap")
_GONE += (b"SubjectArea", b"Orientation", b"Thumbnails", b"PoseHeading")


def test_xmp_loses_what_holds_no_more():
    left = corrected_xmp(_PHONE + b"\0")
    assert [word for word in _GONE if word in left] == []
    for word in (b'tiff:Make="Phone > one"', b"A title", b"<?xpacket end", b'rdf:about=""'):
        assert word in left
    assert corrected_xmp(left) == left, "what is left is well formed"


@pytest.mark.parametrize(
    "xmp",
    [
        b"",
        b"no markup",
        _PHONE[: len(_PHONE) // 2],
        b'<a xmlns:b="c" b:d="1" b:d="2"/>',
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"<a>" + b" " * 2**20 + b"</a>",
        "<a>é</a>".encode("latin-1"),
    ],
)
def test_damaged_xmp_is_left_out(xmp):
    assert corrected_xmp(xmp) == b""


def test_hostile_xmp_takes_no_long_time():
    start = time.monotonic()
    one = b'<G:a xmlns:G="http://ns.google.com/photos/1.0/camera/" '
    corrected_xmp((one + b">") * 15_000)
    corrected_xmp(one + b"".join(b'G:b%d="x" ' % i for i in range(50_000)) + b"/>")
    assert time.monotonic() - start < 2


def test_iptc_loses_the_thumbnail():
    def block(number, data):
        return struct.pack(">4sHHI", b"8BIM", number, 0, len(data)) + data + bytes(len(data) % 2)

    head, iptc, thumbnail = b"Photoshop 3.0\0", block(0x0404, b"\x1c\2iptc1"), block(0x040C, b"small picture")
    assert corrected_iptc(head + thumbnail + iptc) == head + iptc
    assert corrected_iptc(head + thumbnail) == b""
    assert corrected_iptc(head + iptc + thumbnail[:9]) == head + iptc
    assert corrected_iptc(b"\x1c\2 of a TIFF") == b"\x1c\2 of a TIFF"


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "avif"])
def test_exif_of_an_output(tmp_path, form):
    camera = {0x9214: (10, 10, 5, 5), 0xA214: (3, 4), 0xA002: 24, 0xA003: 16, 0x8827: (100,)}
    data = exif({0x10F: b"Camera\0", 0x100: 24}, camera, {1: b"R98\0", 0x1001: 24})
    (tmp_path / "in.jpg").write_bytes(saved(scene(), "JPEG", exif=data))
    image = read_image(tmp_path / "in.jpg")
    write_image(tmp_path / f"out.{form}", ImageFile(image.pixels.repeat(2, 0).repeat(2, 1), image.metadata))
    with Image.open(io.BytesIO((tmp_path / f"out.{form}").read_bytes())) as written:
        found = written.getexif()
        main, camera, interoperability = dict(found), found.get_ifd(0x8769), found.get_ifd(0xA005)
    assert main[0x10F] == "Camera"
    assert camera[0x8827] == 100
    assert (camera[0xA002], camera[0xA003]) == (48, 32)
    assert not {0x9214, 0xA214} & set(camera)
    assert 0x100 not in main
    assert 0x1001 not in interoperability
