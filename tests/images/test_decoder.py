"""Each image is converted in a process of its own, which ends alone at what is hostile."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from portal.images import convert, decoder
from portal.images.errors import DecoderLost, ImageRejected

MAX_PIXELS = 4096 * 4096
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CHILD = "import sys\nfrom portal.images import convert, limits\nconvert.prepare()\nlimits.apply(1024)\n"


def encoded(kind: str, size: tuple[int, int] = (64, 64)) -> bytes:
    target, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image = Image.linear_gradient("L").resize(size).convert("RGB" if kind == "JPEG" else "RGBA")
    image.save(target, kind, icc_profile=PROFILE, exif=exif)
    return target.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_it_converts_with_everything_closed_as_this_process_does(file: Path, kind: str) -> None:
    file.write_bytes(encoded(kind))
    assert decoder.icon(file, max_pixels=MAX_PIXELS) == convert.icon(file.read_bytes(), max_pixels=MAX_PIXELS)
    file.write_bytes(encoded(kind, (1280, 720)))
    upright = convert.screenshot(file.read_bytes(), max_pixels=MAX_PIXELS)
    assert decoder.screenshot(file, max_pixels=MAX_PIXELS) == upright
    assert list(file.parent.iterdir()) == [file]


def test_a_refusal_arrives_as_it_was_written(file: Path) -> None:
    file.write_bytes(encoded("PNG"))
    with pytest.raises(ImageRejected, match="The screenshot is 64x64 pixels") as refusal:
        decoder.screenshot(file, max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_DIMENSIONS"


def ended_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The decoder runs this code, limited as it is."""
    monkeypatch.setattr(decoder, "COMMAND", (sys.executable, "-I", "-W", "ignore", "-c", CHILD + code))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (0, 1))\nwhile True: pass", "more than 10 seconds"),
        ("import signal\nsignal.raise_signal(signal.SIGSEGV)", "makes the decoder crash"),
    ],
    ids=["processor time", "a fault of a decoder"],
)
def test_an_image_that_ends_the_decoder_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    file.touch()
    ended_by(monkeypatch, code)
    with pytest.raises(ImageRejected, match=message):
        decoder.icon(file, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise RuntimeError('broken')",
        "print('no PNG')",
        "while True: sys.stdout.buffer.write(bytes(1_000_000))",
    ],
    ids=["killed", "failed", "something else", "no end"],
)
def test_a_decoder_that_is_lost_is_no_fault_of_the_image(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    file.touch()
    ended_by(monkeypatch, code)
    with pytest.raises(DecoderLost):
        decoder.icon(file, max_pixels=MAX_PIXELS)


def test_a_decoder_that_does_not_start_is_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()
    monkeypatch.setattr(decoder, "COMMAND", ("/nonexistent",))
    with pytest.raises(DecoderLost, match="did not start"):
        decoder.icon(file, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "import socket; socket.socket()",
        "import os; os.pipe()",
        "bytes(limits.memory_bytes(1024))",
        "import os; os.getuid() and os.fork() or 1 / 0",
    ],
)
def test_what_a_decoder_cannot_do(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import os, socket\n{CHILD}try: {code}\nexcept Exception: sys.exit(9)"],
        check=False,
    )
    assert done.returncode == 9


def test_it_sees_nothing_of_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_SECRET", "secret")
    file.touch()
    ended_by(monkeypatch, "import os; sys.exit(repr(dict(os.environ)) + os.getcwd())")
    with pytest.raises(DecoderLost) as lost:
        decoder.icon(file, max_pixels=MAX_PIXELS)
    assert "secret" not in str(lost.value)
