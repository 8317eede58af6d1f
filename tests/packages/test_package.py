"""Whole packages: against `zipfile`, from real tools, with real files, and with any byte changed."""

import io
import json
import shutil
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.packages import build, package, paths, signature
from portal.packages.errors import PackageRejected, SignatureInvalid

from . import hostile, samples

PUBLIC_KEY = signature.raw_public_key(samples.KEY)


class Pipe(io.RawIOBase):
    """Output that cannot be sought in, as when an archive is streamed."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


component = st.text(st.sampled_from("abcXYZ019._- äßéÅ日本Ωﬁ"), min_size=1, max_size=8)
path_names = st.lists(component, min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(
    path_names.filter(lambda path: not list(paths.faults(path))),
    st.tuples(st.binary(max_size=2000) | st.binary(max_size=20).map(lambda data: data * 80), st.booleans()),
    max_size=8,
).filter(lambda tree: not list(paths.collisions([*tree, "manifest.json", signature.PATH])))


@settings(deadline=None)
@given(trees, st.booleans())
def test_same_files_as_zipfile(tree: dict[str, tuple[bytes, bool]], streamed: bool) -> None:
    pipe = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("manifest.json", json.dumps(samples.manifest()), zipfile.ZIP_DEFLATED)
        for name, (content, deflated) in tree.items():
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if deflated or streamed else zipfile.ZIP_STORED)
    with TemporaryDirectory() as directory:
        path = Path(directory, "package.mosis")
        path.write_bytes(pipe.data if isinstance(pipe, Pipe) else pipe.getvalue())
        content = package.inspect(path)
        with zipfile.ZipFile(path) as archive:
            expected = {info.filename: archive.read(info) for info in archive.infolist()}
        signed = build.sign(path, samples.KEY)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert {name: archive.read(name) for name in archive.namelist() if name != signature.PATH} == expected
    lines = [f"{sha256(data).hexdigest()}  {len(data)}  {name}" for name, data in expected.items()]
    listed = sorted(lines, key=lambda line: line.split("  ", 2)[2].encode())
    assert content.statement.decode().splitlines() == ["MOSIS-PACKAGE-V1", samples.APP_ID, "1.0.0", "1", *listed]
    assert signed.statement == content.statement
    package.verify(signed, PUBLIC_KEY)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = tmp_path_factory.mktemp("source")
    (source / "manifest.json").write_text(json.dumps(samples.manifest()))
    (source / "main.py").write_text("print('hello')\n" * 10)
    (source / "bücher").mkdir()
    (source / "bücher" / "a.txt").write_text("a")
    path = source.parent / "small.mosis"
    build.pack(source, path)
    build.sign(path, samples.KEY)
    return path.read_bytes()


def test_any_byte_changed_is_noticed_or_harmless(small: bytes, tmp_path: Path) -> None:
    """Whatever one byte becomes: refused, or the very same signed content (times and modes are not signed)."""
    path = tmp_path / "package.mosis"
    path.write_bytes(small)
    original = package.read(path)
    harmless = 0
    for position in range(len(small)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(small)
            changed[position] ^= bit
            path.write_bytes(changed)
            try:
                read = package.read(path)
                package.verify(read, PUBLIC_KEY)
            except PackageRejected:
                continue
            assert (read.statement, read.manifest, read.signature) == (
                original.statement,
                original.manifest,
                original.signature,
            )
            harmless += 1
    assert harmless < len(small) // 5


def test_any_prefix_is_refused(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    for length in range(len(small)):
        path.write_bytes(small[:length])
        with pytest.raises(PackageRejected):
            package.read(path)


@settings(deadline=None)
@given(st.data())
def test_any_splice_is_refused_or_reads(small: bytes, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(small))] * 2)))
    spliced = small[:start] + data.draw(st.binary(max_size=60)) + small[end:]
    with TemporaryDirectory() as directory:
        path = Path(directory, "package.mosis")
        path.write_bytes(spliced)
        try:
            package.verify(package.read(path), PUBLIC_KEY)
        except PackageRejected as refusal:
            assert refusal.errors


@pytest.mark.parametrize("size", [0, 100_000, 5_000_000])
def test_real_files(size: int, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    made = samples.make_package(path, "org.example.files", 7, "1.2.3-rc.1+build.5", payload_bytes=size)
    read = package.read(path)
    assert read == made
    package.verify(read, PUBLIC_KEY)
    assert (read.manifest.id, read.manifest.version_code) == ("org.example.files", 7)
    assert read.manifest_bytes == zipfile.ZipFile(path).read("manifest.json")
    assert size <= read.unpacked_bytes <= path.stat().st_size <= size + 400 * read.entries


def test_the_largest_sample_is_within_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    samples.make_package(path, payload_bytes=50 * samples.MIB)
    assert 48 * samples.MIB < path.stat().st_size <= 50 * samples.MIB


def test_archives_of_other_tools(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, content in (("manifest.json", json.dumps(samples.manifest()).encode()), *samples.payload(300_000)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "empty").mkdir()
    path = Path(shutil.make_archive(str(tmp_path / "package"), "zip", source))
    assert package.inspect(path).manifest.id == samples.APP_ID
    package.verify(build.sign(path, samples.KEY), PUBLIC_KEY)


def test_another_key_is_told_from_another_content(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    made = samples.make_package(path)
    with pytest.raises(SignatureInvalid, match="signed with key 56475aa75463474c0285df5dbf2bcab7, not with key"):
        package.verify(made, signature.raw_public_key(Ed25519PrivateKey.generate()))
    other = samples.make_package(path, version_code=2)
    forged = replace(made, statement=other.statement)
    with pytest.raises(SignatureInvalid, match="does not match the signed content"):
        package.verify(forged, PUBLIC_KEY)


def test_without_signature(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(samples.manifest()))
    with pytest.raises(PackageRejected, match=r"^META-INF/mosis.sig is missing: sign the package with `mosis sign`\.$"):
        package.read(path)
    assert package.inspect(path).manifest.version_code == 1


def test_what_was_accepted_before_a_rule_is_read_without_it(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(hostile.package(hostile.file(central={"external": 0o104777 << 16})))
    with pytest.raises(PackageRejected, match="has the mode 4777"):
        package.read(path)
    listed = package.accepted_statement(path).splitlines()[signature.HEADER_LINES :]
    assert [line.split(b"  ")[2] for line in listed] == [b"files/a.txt", b"manifest.json"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (hostile.package(hostile.file(central={"crc": 1}, local={"crc": 1})), "has the CRC-32"),
        (hostile.build([hostile.FILE]), r"^manifest\.json is missing\.$"),
        (hostile.build([replace(hostile.MANIFEST, content=b"{}")]), r"^manifest\.json is damaged\.$"),
        (hostile.build([replace(hostile.MANIFEST, content=b"[")]), r"^manifest\.json is damaged\.$"),
    ],
    ids=["content", "no manifest", "no id", "no JSON"],
)
def test_what_was_accepted_and_is_damaged(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(data)
    with pytest.raises(PackageRejected, match=reason):
        package.accepted_statement(path)
