"""Times of schedules: what is accepted is what Debian's cron accepts, and comes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.plan import cron_times, plan
from deploys.plan.data import PlanError
from deploys.plan.release import Release
from portal.jobs import table

GOOD = [
    "* * * * *",
    "*/5 * * * *",
    "0 3 1,15 * *",
    "10-50/10 0-23 * * 1-5",
    "0 0 29 2 *",
    "0 3 31 2 1",  # either day is enough
    "59 23 31 12 7",
]
BAD = [
    ("61 3 * * *", "bad minute"),
    ("-1 3 * * *", "bad minute"),
    ("0 25 * * *", "bad hour"),
    ("*/0 * * * *", "bad minute"),
    ("5-1 * * * *", "bad minute"),
    ("1,,2 * * * *", "bad minute"),
    ("0 3 0 * *", "bad day-of-month"),
    ("0 3 32 * *", "bad day-of-month"),
    ("0 3 31 2 *", "bad day-of-month"),
    ("0 3 31 4,6,9,11 *", "bad day-of-month"),
    ("0 3 * 13 *", "bad month"),
    ("0 3 * * 8", "bad day-of-week"),
    ("5/15 * * * *", "step after a single number"),
    ("0 3 L * *", "five fields"),
    ("0 3 * * 1#2", "five fields"),
    ("0 3 * * MON", "five fields"),
    ("@daily", "five fields"),
    ("* * * *", "five fields"),
    ("* * * * * *", "five fields"),
    ("* * * * *\nroot", "five fields"),
]


@pytest.mark.parametrize("time", [*GOOD, *(job.time for job in table.JOBS)])
def test_a_time_is_kept_as_it_is(time: str) -> None:
    assert cron_times.checked(time) == time


@pytest.mark.parametrize(("time", "fault"), BAD)
def test_a_wrong_time_stops_the_plan_with_one_sentence(time: str, fault: str, release: Release) -> None:
    with pytest.raises(PlanError) as raised:
        plan({"mosis_runtime": "systemd", "mosis_schedules": {"cleanup": time}}, release)
    message = str(raised.value)
    assert message.startswith("Host data: mosis_schedules.cleanup: ")
    assert fault in message and repr(time) in message and "\n" not in message


@pytest.mark.parametrize(
    ("time", "days"),
    [
        ("0 3 * * *", 1),
        ("0 4 * * 0", 7),
        ("0 3 1 * *", 31),
        ("* 9-17 * * 1-5", 3 - 9 / 24 + 1 / 1440),
        ("0 0 29 2 *", 1461),
        ("0 0 29 2 */7", 3650),  # every 28 years
    ],
)
def test_the_longest_gap_of_a_time(time: str, days: float) -> None:
    assert cron_times.longest_gap(time) == pytest.approx(days * 86400)


@pytest.mark.parametrize(
    ("time", "ages"),
    [("0 5 * * 0", {}), ("0 4 * * *", {}), ("0 4 1 * *", {"drill": (8 + 31 - 7) * 86400}), (None, {"drill": 0})],
)
def test_a_job_is_overdue_by_its_own_schedule(time: str | None, ages: dict[str, int], release: Release) -> None:
    wanted = plan({"mosis_runtime": "systemd", "mosis_schedules": {"drill": time}}, release)
    assert wanted.settings.job_max_ages == ages
    assert ("drill" in {job.name for job in wanted.jobs}) == (time is not None)


NUMBERS = st.integers(0, 70).map(str)
RANGES = st.one_of(st.just("*"), NUMBERS, st.builds("{}-{}".format, NUMBERS, NUMBERS))
PARTS = st.one_of(RANGES, st.builds("{}/{}".format, RANGES, NUMBERS), st.text("0123456789*/,-", min_size=1, max_size=4))
FIELDS = st.lists(PARTS, min_size=1, max_size=2).map(",".join)


@pytest.mark.skipif(not shutil.which("crontab"), reason="Debian's crontab is not installed")
@given(place=st.integers(0, 4), field=FIELDS)
def test_debian_accepts_what_is_accepted(place: int, field: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    time = " ".join(field if at == place else "*" for at in range(5))
    try:
        cron_times.checked(time)
    except ValueError:
        return
    assert debian_accepts(time, tmp_path_factory.mktemp("cron"))


def debian_accepts(time: str, directory: Path) -> bool:
    (directory / "crontab").write_text(f"{time} true\n")
    return not subprocess.run(["crontab", "-n", directory / "crontab"], capture_output=True).returncode
