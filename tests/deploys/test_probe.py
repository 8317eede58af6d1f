"""The deploy tries what the bucket honours when it has to, and says so; by the real pyinfra, with a real bucket."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploys.services.probe import seal_of
from portal.mirror.probe import CHECKS
from portal.settings import S3
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY
from tests.support.portal import MOSIS, environ, make_store

DEPLOY = """
from deploys.services import probe
probe.honoured(name="What the bucket honours", mosis="{mosis}", report="{report}", seal="{seal}")
"""


@dataclass
class Ran:
    changed: bool
    output: str


@dataclass
class Host:
    """This machine, with a store that has a mirror."""

    place: Path
    engine: S3

    def deploy(self, credentials: str = f"{ACCESS_KEY}\n{SECRET_KEY}\n") -> Ran:
        self.engine.credentials.write_text(credentials)
        wrapper, file = self.place / "mosis", self.place / "deploy.py"
        seal = seal_of(self.engine, credentials)
        file.write_text(DEPLOY.format(mosis=wrapper, report=self.place / "bucket.txt", seal=seal))
        done = subprocess.run(
            [sys.executable, "-m", "pyinfra", "--json", "--yes", "@local", str(file)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        [operation] = json.loads(done.stdout)["results"]["operations"]
        return Ran(bool(operation["success"]), done.stdout + done.stderr)


@pytest.fixture
def host(tmp_path: Path, empty: S3) -> Host:
    engine = empty.model_copy(update={"credentials": tmp_path / "credentials"})
    store = make_store(tmp_path / "store", mirror=engine.model_dump(mode="json"))
    config = environ(store)["MOSIS_CONFIG"]
    store.db.close()
    wrapper = tmp_path / "mosis"
    wrapper.write_text(f'#!/bin/sh\nMOSIS_CONFIG={config} exec {MOSIS} "$@"\n')
    wrapper.chmod(0o755)
    return Host(tmp_path, engine)


def test_the_first_deploy_prints_the_table_and_the_second_changes_nothing(host: Host) -> None:
    first = host.deploy()
    assert first.changed
    for check in CHECKS:
        assert f"bucket: ok    {check.name}" in first.output
    second = host.deploy()
    assert (second.changed, "bucket: ok" in second.output) == (False, False)


def test_a_bucket_that_refuses_is_named_in_every_deploy_until_it_works(host: Host) -> None:
    for _ in range(2):
        refused = host.deploy("stranger\nnot-a-secret\n")
        assert refused.changed
        assert "InvalidAccessKeyId" in refused.output
        assert "the mirror does not work until this is mended" in refused.output
        assert "not-a-secret" not in refused.output + (host.place / "bucket.txt").read_text()
    mended = host.deploy()
    assert mended.changed and "ok    reading" in mended.output
    assert not host.deploy().changed


def test_other_settings_and_keys_are_tried_again(host: Host) -> None:
    seal = seal_of(host.engine, "key\nsecret\n")
    others = (
        seal_of(host.engine, "key\nanother\n"),
        seal_of(host.engine.model_copy(update={"bucket": "another"}), "key\nsecret\n"),
    )
    assert seal == seal_of(host.engine, "key\nsecret\n")
    assert seal not in others
    assert "secret" not in seal
