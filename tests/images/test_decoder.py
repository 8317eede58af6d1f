"""Each image is converted in a process of its own, which ends alone at what is hostile."""

import errno
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from portal.images import convert, decoder, limits, syscalls
from portal.images.errors import DecoderLost, ImageRejected
from tests.images import files
from tests.images.files import chunk

MAX_PIXELS = 4096 * 4096
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CHILD = """
import ctypes, os, signal, socket, subprocess, sys
from portal.images import convert, limits, syscalls
convert.prepare()
"""
LIMITED = CHILD + "limits.apply(1024)\n"
FILTERED = LIMITED + "assert syscalls.restrict()\n"


def encoded(kind: str, size: tuple[int, int] = (64, 64)) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.linear_gradient("L").resize(size).convert("RGB" if kind == "JPEG" else "RGBA")
    return files.encoded(image, kind, icc_profile=PROFILE, exif=exif)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image"


def plain(kind: str) -> bytes:
    return files.encoded(Image.new("RGB", (1280, 720), "red"), kind)


SCREENSHOTS = {
    **{f"{kind} with metadata": encoded(kind, (1280, 720)) for kind in ("PNG", "JPEG", "WEBP")},
    **{f"plain {kind}": plain(kind) for kind in ("PNG", "JPEG", "WEBP")},
}
CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "image_corpus").iterdir())


@pytest.mark.parametrize("data", SCREENSHOTS.values(), ids=SCREENSHOTS.keys())
def test_it_converts_with_everything_forbidden_as_this_process_does(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert decoder.screenshot(file, max_pixels=MAX_PIXELS) == convert.screenshot(data, max_pixels=MAX_PIXELS)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("seed", CORPUS, ids=lambda path: path.name)
def test_it_accepts_and_refuses_as_this_process_does(file: Path, seed: Path) -> None:
    file.write_bytes(seed.read_bytes())
    assert outcome(decoder.icon, file) == outcome(convert.icon, seed.read_bytes())


def outcome(convert_icon: Callable[..., dict[int, bytes]], image: Path | bytes) -> dict[int, bytes] | str:
    try:
        return convert_icon(image, max_pixels=MAX_PIXELS)
    except ImageRejected as refusal:
        return f"{refusal.code}: {refusal}"


def test_a_refusal_arrives_as_it_was_written(file: Path) -> None:
    file.write_bytes(encoded("PNG"))
    with pytest.raises(ImageRejected, match="The screenshot is 64x64 pixels") as refusal:
        decoder.screenshot(file, max_pixels=MAX_PIXELS)
    assert refusal.value.code == "INVALID_DIMENSIONS"


def ended_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The decoder runs this code."""
    monkeypatch.setattr(decoder, "COMMAND", (sys.executable, "-I", "-W", "ignore", "-c", code))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 5))\nwhile True: pass", "more than 10 seconds"),
        ("ctypes.string_at(0)", "makes the decoder crash"),
    ],
    ids=["processor time", "a fault of a decoder"],
)
def test_an_image_that_ends_the_decoder_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    file.touch()
    ended_by(monkeypatch, (CHILD if "resource" in code else FILTERED) + code)
    with pytest.raises(ImageRejected, match=message):
        decoder.icon(file, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "code",
    [
        CHILD + "os.kill(os.getpid(), signal.SIGKILL)",
        FILTERED + "raise RuntimeError('broken')",
        FILTERED + "print('no PNG')",
        FILTERED + "while True: sys.stdout.buffer.write(bytes(1_000_000))",
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


@pytest.mark.parametrize("data", [plain("PNG"), b"no image"], ids=["an answer", "a refusal"])
def test_a_full_disk_is_no_fault_of_the_decoder(file: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """The store answers as for any other file that has no room: a retry alone does not help."""
    file.write_bytes(data)
    with Path("/dev/full").open("r+b", buffering=0) as disk:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: disk)
        with pytest.raises(OSError, match="No space left") as full:
            decoder.screenshot(file, max_pixels=MAX_PIXELS)
    assert full.value.errno == errno.ENOSPC


def png(
    width: int, height: int, *, header: bytes = b"\x08\x02\0\0\0", more: bytes = b"", pixels: int = 1, end: bytes = b""
) -> bytes:
    """Behind its length."""
    chunks = chunk(b"IHDR", struct.pack(">II", width, height) + header) + more + pixels * chunk(b"IDAT", b"")
    data = b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"") + end
    return struct.pack(">I", len(data)) + data


def icon_of(**described: Any) -> bytes:
    """Whose first size is one that the store never writes."""
    return png(32, 32, **described) + png(64, 64) + png(128, 128)


UNTRUE = {
    "no PNG": b"\0\0\0\1x",
    "less than announced": png(32, 32)[:-1],
    "too few": png(32, 32) + png(64, 64),
    "other sizes": png(32, 32) + png(64, 64) + png(128, 129),
    "more": png(32, 32) + png(64, 64) + png(128, 128) + png(256, 256),
    "nothing": b"",
    "hidden text": icon_of(more=chunk(b"tEXt", b"a\0b")),
    "a script behind the image": icon_of(end=b"<script>"),
    "a damaged chunk": icon_of(more=chunk(b"IDAT", b"x")[:-1] + b"?"),
    "no pixels": icon_of(pixels=0),
    "an empty header": icon_of(header=b""),
    "interlaced": icon_of(header=b"\x08\x02\0\0\1"),
    "a palette": icon_of(header=b"\x08\x03\0\0\0", more=chunk(b"PLTE", b"abc")),
    "countless chunks": icon_of(pixels=30_000),
}


@pytest.mark.parametrize("answer", UNTRUE.values(), ids=UNTRUE.keys())
def test_nothing_but_pngs_of_the_right_sizes_is_taken_from_a_decoder(
    file: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    file.touch()
    monkeypatch.setattr(decoder, "_run", lambda command, image, output: output.write(icon_of()) * 0)
    assert [*decoder.icon(file, max_pixels=MAX_PIXELS)] == [32, 64, 128]
    monkeypatch.setattr(decoder, "_run", lambda command, image, output: output.write(answer) * 0)
    for convert_file in (decoder.icon, decoder.screenshot):
        with pytest.raises(DecoderLost):
            convert_file(file, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"1",
        b"[]",
        b'["OTHER_CODE", "So."]',
        b'["INVALID_IMAGE", 1]',
        b'["INVALID_IMAGE", "a\\u0007"]',
        b'[{}, "So."]',
        b"[" * 5000,
    ],
)
def test_no_refusal_is_taken_from_a_decoder_that_the_store_never_writes(answer: bytes) -> None:
    with pytest.raises(DecoderLost):
        decoder.refusal(answer)


def test_a_decoder_that_does_not_start_is_lost(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()
    monkeypatch.setattr(decoder, "COMMAND", ("/nonexistent",))
    with pytest.raises(DecoderLost, match="did not start"):
        decoder.icon(file, max_pixels=MAX_PIXELS)


FORBIDDEN_BY_LIMITS = (
    "open('/etc/passwd')",
    "socket.socket()",
    "os.pipe()",
    "os.dup(0)",
    "bytes(limits.memory_bytes(1024))",
)
FORBIDDEN_BY_FILTER = (
    *FORBIDDEN_BY_LIMITS[:-1],
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "os.kill(os.getppid(), 0)",
    "os.unlink('/nonexistent')",
    "os.chmod('/tmp', 0o1777)",
    "os.stat('/tmp')",
)


@pytest.mark.parametrize(
    ("prepared", "forbidden", "error"),
    [
        (LIMITED, FORBIDDEN_BY_LIMITS, "(OSError, MemoryError)"),
        pytest.param(
            FILTERED, FORBIDDEN_BY_FILTER, "PermissionError",
            marks=pytest.mark.skipif(os.uname().machine not in syscalls.MACHINES, reason="no filter for this machine"),
        ),
    ],
    ids=["limits", "filter"],
)  # fmt: skip
def test_what_a_decoder_cannot_do(prepared: str, forbidden: tuple[str, ...], error: str) -> None:
    tries = "".join(f"try: {code}\nexcept {error}: print(end='.')\n" for code in forbidden)
    done = subprocess.run([sys.executable, "-I", "-c", prepared + tries], check=True, capture_output=True, text=True)
    assert done.stdout == "." * len(forbidden)


TAKEN_OVER = """
import os, sys
from portal.images import child, convert, limits

def tries(*_: object, **__: object) -> dict[int, bytes]:
    memory = limits.memory_bytes(1024)
    for attempt in (lambda: os.kill(os.getppid(), 0), lambda: os.unlink("/x"), lambda: bytes(memory)):
        try:
            attempt()
        except (PermissionError, MemoryError):
            os.write(1, b".")
    return {}

convert.icon = tries
sys.argv = ["child", "icon", "1024"]
child.main()
"""


@pytest.mark.skipif(os.uname().machine not in syscalls.MACHINES, reason="no filter for this machine")
def test_an_image_that_takes_over_the_program_of_the_decoder_is_confined() -> None:
    """By what that program itself does before it reads the image; the tests above only try what it may use."""
    done = subprocess.run([sys.executable, "-I", "-c", TAKEN_OVER], check=True, input=b"", capture_output=True)
    assert done.stdout == b"..."


def test_it_is_the_first_to_end_when_memory_runs_out() -> None:
    program = f"score = open('/proc/self/oom_score_adj')\n{LIMITED}score.seek(0); print(score.read())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "1000", ran.stderr


def test_it_sees_nothing_of_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_SECRET", "secret")
    file.touch()
    ended_by(monkeypatch, CHILD + "sys.exit(f'{[*os.environ]} {os.getcwd()}')")
    with pytest.raises(DecoderLost, match=r"\[('LC_CTYPE')?\] /\\n"):  # which Python itself may set
        decoder.icon(file, max_pixels=MAX_PIXELS)


def test_its_output_is_limited(file: Path) -> None:
    code = LIMITED + "os.write(1, bytes(limits.OUTPUT_BYTES + 1))"
    with file.open("wb") as output:
        subprocess.run([sys.executable, "-I", "-c", code], check=True, stdout=output)
    assert file.stat().st_size == limits.OUTPUT_BYTES


def test_its_processor_time_is_limited() -> None:
    code = LIMITED + "import resource; print(*resource.getrlimit(resource.RLIMIT_CPU))"
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    soft, hard = map(int, done.stdout.split())
    assert 0 < soft < hard <= limits.WALL_SECONDS, "at the soft limit it is refused, at the hard one it is killed"


@pytest.mark.skipif(os.uname().machine not in syscalls.MACHINES, reason="no filter for this machine")
def test_every_system_call_that_is_not_listed_is_refused() -> None:
    """All numbers that this machine may have, and those of x32; but for uretprobe and uprobe (335, 336): the kernel
    filters them in no process, and ends the one that calls them with SIGILL.
    """
    code = f"""
syscall, place = ctypes.CDLL(None, use_errno=True).syscall, {list(syscalls.MACHINES).index(os.uname().machine)}
listed = {{numbers[place] for numbers in syscalls.CALLS.values()}}
numbers = (*range(1024), *range(0x40000000, 0x40000000 + 1024))
tried = [number for number in numbers if number not in listed | {{335, 336}}]
allowed = [number for number in tried if syscall(number, -1, -1, -1, -1, -1, -1) != -1 or ctypes.get_errno() != 1]
print(len(listed), len(tried), allowed)
"""
    done = subprocess.run([sys.executable, "-I", "-c", FILTERED + code], check=True, capture_output=True, text=True)
    assert done.stdout == f"{len(syscalls.CALLS)} {2048 - 2 - len(syscalls.CALLS)} []\n"


def test_it_has_no_file_but_its_image_its_output_and_what_it_prints(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.touch()
    with (file.parent / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        ended_by(monkeypatch, CHILD + "sys.exit(' '.join(sorted(os.listdir('/proc/self/fd'))))")
        with pytest.raises(DecoderLost, match="'0 1 2 3"):
            decoder.icon(file, max_pixels=MAX_PIXELS)
