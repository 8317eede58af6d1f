"""Alert rules, judged by Prometheus's own tool, and by what each of them must be."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploys.plan.render import CHECKOUT
from portal.metrics import Metrics, standby_exposition
from tests.support.portal import free_port, make_store

RULES = CHECKOUT / "files/prometheus/rules.yml"
TESTS = CHECKOUT / "tests/deploys/rules_test.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
WITHOUT_INSTANCE = {"MosisUnmonitored", "MosisWatchdog"}


def named(alert: dict[str, object]) -> str:
    return str(alert["alert"])


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_the_alerts_fire_when_they_must_and_only_then() -> None:
    done = subprocess.run(["promtool", "test", "rules", TESTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=named)
def test_an_alert_is_tested_both_ways(alert: dict[str, str]) -> None:
    """The quiet day, where none may fire, is the other way for all but the watchdog."""
    quiet, *others = yaml.safe_load(TESTS.read_text())["tests"]
    scenarios = [quiet] if alert["alert"] == "MosisWatchdog" else others
    tests = [test for scenario in scenarios for test in scenario["alert_rule_test"]]
    assert [test for test in tests if test["alertname"] == alert["alert"] and test["exp_alerts"]]
    assert 'alertname!="MosisWatchdog"' in quiet["promql_expr_test"][0]["expr"]


@pytest.mark.parametrize("alert", ALERTS, ids=named)
def test_an_alert_says_whom_it_wakes_and_which_store_it_is_about(alert: dict[str, dict[str, str]]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket", "none")
    aggregations = re.findall(r"\b(?:sum|max|min|avg|count)\b(?! by \(instance, job\))", str(alert["expr"]))
    matchings = re.findall(r"\bon \((?!instance, job\b)", str(alert["expr"]))
    assert not aggregations and not matchings, "stores that share a Prometheus hide each other"
    if alert["alert"] not in WITHOUT_INSTANCE:
        assert "{{ $labels.instance }}" in alert["annotations"]["summary"]


def test_every_metric_of_the_rules_is_exported(tmp_path: Path) -> None:
    """An alert on a metric that nobody exports never fires."""
    used = set(re.findall(r"\bmosis_\w+", " ".join(str(alert["expr"]) for alert in ALERTS)))
    mirror = {"endpoint": "https://s3.example.org", "bucket": "mosis", "credentials": "/nowhere"}
    store = make_store(tmp_path / "store", litestream=True, mirror=mirror, tls_port=free_port())
    exposition = Metrics(store).exposition() + standby_exposition(store.settings, 0)
    assert used <= set(re.findall(r"^# TYPE (\w+)", exposition.decode(), re.MULTILINE)), used
    assert len(used) > 5


def test_no_limit_that_the_store_knows_is_repeated() -> None:
    """Ages of jobs and sizes come as metrics."""
    causes = next(group for group in yaml.safe_load(RULES.read_text())["groups"] if group["name"] == "mosis-causes")
    assert not [rule for rule in causes["rules"] if re.search(r"[<>=] *(?:on \([^)]*\) *)?[1-9]", rule["expr"])]
