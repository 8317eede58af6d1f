"""`python -m bench [NAME …]`: one line a measurement, and all of it as JSON."""

import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.lines import LINES, Line, bench
from bench.processes import BenchError
from bench.stack import require


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Lines to measure; none: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, to see that it works.")] = False,
    rounds: Annotated[int, typer.Option(help="Measurements that a median is of.")] = 5,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("bench/results.json"),
) -> None:
    """Compare the deployed stack with the Go design, alternating, on the loopback of this machine."""
    known = {line.name: line for line in LINES}
    if unknown := set(names or ()) - known.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(known)}.")
    chosen = [known[name] for name in names] if names else list(LINES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is stopped
    directory = Path(tempfile.mkdtemp(prefix="mosis-bench-"))
    try:
        require(program for line in chosen for program in line.needs)
        found = []
        with bench(directory, seconds=1 if quick else 3, requests=50 if quick else 300) as b:
            for line in chosen:
                found.append(_measured(line, b, 1 if quick else rounds))
                print(_shown(found[-1]), flush=True)
        output.write_text(json.dumps({"machine": _machine(), "lines": found}, indent=2) + "\n")
        print(f"\n{output}")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(directory)


def _measured(line: Line, b: object, rounds: int) -> dict:
    pairs = [(line.ours(b), line.reference(b)) for _ in range(rounds)]
    ours, reference = ([pair[side] for pair in pairs] for side in (0, 1))
    found = {
        "name": line.name,
        "unit": line.unit,
        "ours": statistics.median(ours),
        "reference": statistics.median(reference),
    }
    found["ratio"] = found["ours"] / found["reference"]
    goal = f"{line.about} {line.goal}"
    return found | {
        "goal": goal,
        "reached": line.reached(found[line.about]),
        "rounds": {"ours": ours, "reference": reference},
    }


def _shown(found: dict) -> str:
    ours, reference = (
        f"{found[side]:.4g}" if found[side] < 1000 else f"{found[side]:.0f}" for side in ("ours", "reference")
    )
    verdict = "reached" if found["reached"] else "MISSED"
    return (
        f"{found['name']:22} ratio={found['ratio']:.2f} {found['unit']} ours={ours} reference={reference}"
        f"  goal: {found['goal']}, {verdict}"
    )


def _machine() -> dict:
    return {"cores": os.cpu_count(), "load": os.getloadavg()}


if __name__ == "__main__":
    typer.run(main)
