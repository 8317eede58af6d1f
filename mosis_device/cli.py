"""`mosis install`: exit status 0 when each app is installed or current, 1 when one was refused, 2 for wrong usage."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TextIO

from mosis_device.device import Device, Options, Outcome, refused
from mosis_device.document import CHANNELS
from mosis_device.refusals import Refused

INTO = Path("~/.local/share/mosis-apps")
BAR = 30  # characters


def main(arguments: Sequence[str] | None = None, prog: str = "mosis-install") -> int:
    """Run the command; its exit status."""
    parser = _parser(prog)
    options = parser.parse_intermixed_args(arguments)
    if bool(options.app_ids) == options.all:
        parser.error("name apps, or give --all")
    device = Device(
        options.into.expanduser(),
        options.bases,
        Options(options.api, options.channel, options.automatic, options.accept_key),
        say=_say,
    )
    try:
        _begin_trust(device, options.root, trust_first_use=options.trust_first_use)
        app_ids = options.app_ids or list(device.installed())
        outcomes = device.install(app_ids, _bar if sys.stderr.isatty() else lambda done, size: None)
    except KeyboardInterrupt:
        _say("Interrupted: run the command again, and it continues.")
        return 1
    except (Refused, OSError) as error:
        outcomes = [refused("", error, device.directory)]
    for outcome in outcomes:
        _print(outcome, as_json=options.json)
    return int(any(outcome.outcome == "refused" for outcome in outcomes))


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in a sentence, without the usage, which has many lines."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. `{self.prog} -h` lists the options.\n")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog, description="Install or update apps of a Mosis store, verifying its signatures and the developer's.",
        epilog="Exit status: 0 done, 1 something was refused, 2 wrong usage.", allow_abbrev=False,
    )  # fmt: skip
    add = parser.add_argument
    add("app_ids", metavar="APP_ID", nargs="*", help="an app, such as org.example.reader")
    add("--all", action="store_true", help="every installed app instead of named ones")
    add("--from", dest="bases", metavar="URL", type=_url, action="append", required=True,
        help="base URL of the store, or of a copy of its files; repeat it for further ones to try")  # fmt: skip
    add("--into", metavar="DIR", type=Path, default=INTO, help="directory of the apps (default: %(default)s)")
    add("--root", metavar="FILE", type=Path, help="root metadata of the store that trust begins with; remembered")
    add("--trust-first-use", action="store_true", help="without a root: accept the store's, and print its fingerprint")
    add("--api", metavar="N", type=int, help="API level of this device")
    add("--channel", choices=CHANNELS, default="stable", help="which releases to take (default: %(default)s)")
    add("--automatic", action="store_true", help="for schedules: wait for staged rollouts to reach this device")
    add("--accept-key", metavar="KEY_ID", help="accept this new key of a developer who lost the old one")
    add("--json", action="store_true", help="print one JSON object per app")
    return parser


def options() -> list[tuple[str, str]]:
    """Each long option and what it does, for the completion of a shell."""
    actions = _parser("mosis-install")._actions  # noqa: SLF001  # argparse has no other list of them
    return [(name, action.help or "") for action in actions for name in action.option_strings if name[:2] == "--"]


def _url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL: begin it with https://")
    return text


def _begin_trust(device: Device, root: Path | None, *, trust_first_use: bool) -> None:
    if root is not None:
        device.trust(root.read_bytes())
    elif trust_first_use and not device.trusts:
        _say(f"Trusting the root with the fingerprint {device.trust()}: compare it with the store's operator.")


def _say(line: str, to: TextIO | None = None) -> None:
    """Print a line without control characters: it may quote a developer, who must not control the terminal."""
    print("".join(character if character.isprintable() else " " for character in line), file=to or sys.stderr)


def _bar(done: int, size: int) -> None:
    filled = "#" * (BAR * done // size)
    end = "\n" if done == size else ""
    print(f"\r[{filled:.<{BAR}}] {done / 1e6:.1f} of {size / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)


def _print(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: value for name, value in asdict(outcome).items() if value is not None}))
    elif outcome.outcome == "refused":
        _say(f"{outcome.app_id}: {outcome.detail}" if outcome.app_id else str(outcome.detail))
    else:
        installed = f"{outcome.app_id} {outcome.version_name} ({outcome.version_code})"
        _say(f"{installed} is {outcome.outcome}: {outcome.path}", sys.stdout)
