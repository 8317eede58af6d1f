"""The portal is what /openapi.json says: schemathesis sends what the description allows, and what it does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from portal.store import tokens
from portal.store.audit import OPERATOR
from tests.packages.samples import APP_ID, KEY
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store

pytestmark = pytest.mark.seconds(110)

REPOSITORY = Path(__file__).parents[2]
SCHEMATHESIS = Path(sys.executable).with_name("st")
ROOMY = {"auth_failures_per_minute": 1_000_000, "uploads_per_hour": 1_000_000, "changes_per_hour": 1_000_000}
EXAMPLES = 5  # of every operation and phase
STRICTER = "positive_data_acceptance"  # what a schema cannot say, such as device names, is refused all the same
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429]  # 412 is tus's for a version it does not speak
CHECKS = {
    check: {"expected-statuses": REFUSALS} for check in ("negative_data_rejection", "missing_required_header")
}  # fmt: skip
PUBLISHED, IN_REVIEW, DRAFT = 1, 2, 3
FINAL = ["delete_api_apps_app_id", "delete_api_apps_app_id_versions_version_code"]  # would end what the others need
VERSION = {"developer": DRAFT, "reviewer": IN_REVIEW, "admin": PUBLISHED}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own, whose one app has a published version, one in review and a draft."""
    directory = tmp_path_factory.mktemp("schemathesis")
    running = Portal(make_store(directory / "store", port=free_port(), **ROOMY)).start()
    developer, reviewer = (add_developer(running.store, "dev"), add_developer(running.store, "rev", None, "reviewer"))
    with running.client(developer) as client, running.client(reviewer) as reviewing:
        client.post("/api/apps", json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        publisher = Publisher(running, client, reviewing, directory, APP_ID, KEY)
        publisher.publish(PUBLISHED)
        for code in (IN_REVIEW, DRAFT):
            publisher.upload(publisher.package(code)).raise_for_status()
        publisher.step(IN_REVIEW, "submit").raise_for_status()
    yield running
    running.stop()


@pytest.mark.parametrize("known", [False, True], ids=["any", "known"])
@pytest.mark.parametrize("scope", VERSION)
def test_the_description_holds(portal: Portal, scope: tokens.Scope, known: bool, tmp_path: Path) -> None:
    """With addresses made up, which mostly are of nothing, and with those of an app and a version that are there."""
    with portal.store.db.write() as tx:
        token = tokens.issue(tx, OPERATOR, "dev", scope, 1)[1]
    excluded = [word for name in FINAL * known for word in ("--exclude-operation-id", name)]
    parameters = {"app_id": APP_ID, "developer_id": "dev", "version_code": VERSION[scope]} if known else {}
    (tmp_path / "schemathesis.toml").write_text(tomli_w.dumps({"parameters": parameters, "checks": CHECKS}))
    run = subprocess.run(
        [SCHEMATHESIS, "run", f"{portal.url}/openapi.json", "--header", f"Authorization: Bearer {token}",
         "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--exclude-checks", STRICTER,
         "--continue-on-failure", "--seed", "1", "--generation-deterministic",
         "--warnings", "off", "--no-color", *excluded],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
