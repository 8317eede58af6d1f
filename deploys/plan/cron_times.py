"""Times of crontab(5), limited to what every reader understands alike: Debian's cron, DSM's, and `mosis schedule`.

Debian's cron ignores a whole file for one wrong time in it, so that no job would run any more.
"""

import re
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile

from cronsim import CronSim, CronSimError

START = datetime(2000, 1, 1)
TEN_YEARS = timedelta(days=3650)
OCCURRENCES = 20_000  # two weeks of every minute
ALLOWED = set("0123456789*/,- ")  # no names and no L or #, which not every cron knows
STEP_OF_A_NUMBER = re.compile(r"(?:^|[ ,])\d+/")


def checked(time: str) -> str:
    """The time itself. Raises ValueError, which names the time and what is wrong in it."""
    if len(time.split()) != 5 or not set(time) <= ALLOWED:
        raise ValueError(f"{time!r} must be five fields of digits and * / , - as in crontab(5), or None")
    if STEP_OF_A_NUMBER.search(time):
        raise ValueError(f"{time!r} has a step after a single number; it must follow * or a range")
    try:
        next(CronSim(time, START))
    except CronSimError as error:
        raise ValueError(f"{time!r} has a {str(error).lower()}") from None
    except StopIteration:
        raise ValueError(f"{time!r} is a day that never comes") from None
    return time


def longest_gap(time: str) -> int:
    """The longest time between two occurrences, in seconds; at most about ten years."""
    times = takewhile(lambda at: at < START + TEN_YEARS, islice(CronSim(time, START), OCCURRENCES))
    return int(max((later - earlier for earlier, later in pairwise(times)), default=TEN_YEARS).total_seconds())
