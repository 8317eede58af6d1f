"""`python -m deploys.make.deploy`: what `make deploy` does. ROOT, PORT, WHEELHOUSE and V of the environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

from deploys.make import environment, place
from deploys.make.steps import Steps

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108, pyinfra takes care of names in them


def _temporary() -> str:
    """A temporary directory whose name pyinfra's shell commands can hold."""
    chosen = os.environ.get("TMPDIR", "")
    fine = chosen and not place.not_plain(chosen) and os.access(chosen, os.W_OK | os.X_OK)
    return chosen if fine else next(path for path in TEMPORARY if os.access(path, os.W_OK | os.X_OK))


def _pyinfra(root: Path, port: str, verbose: bool) -> int:
    """Run it and return its exit code."""
    command = [str(environment.PYTHON), "-m", "pyinfra", "-y", "inventory/local.py", "deploy.py"]
    variables = {"ROOT": str(root), "PORT": port, "TMPDIR": _temporary(), "PYINFRA_PROGRESS": "off"}
    output, errors = (None, None) if verbose else (subprocess.PIPE, subprocess.STDOUT)
    with subprocess.Popen(
        command,
        cwd=environment.CHECKOUT,
        env=os.environ | variables,
        stdout=output,
        stderr=errors,
    ) as run:
        steps = Steps()
        steps.follow(line.decode(errors="replace") for line in run.stdout or ())
    if not verbose:
        steps.report(failed=run.returncode != 0)
    return run.returncode


def _summary(root: Path, port: str) -> str:
    nginx = re.search(r"^files =.* nginx\.conf", (root / "etc/supervisord.conf").read_text(), re.MULTILINE)
    rows = {
        "store": f"http://127.0.0.1:{port}",
        "served by": "nginx, in front of the portal" if nginx else "the portal alone, because nginx is not installed",
        "admin token": f"{root}/secrets/admin-token",
        "command": f"{root}/bin/mosis",
    }
    if (root_key := root / "secrets/catalogue/root.pem").exists():
        rows["root key"] = f"{root_key} (may stay there for a try-out; before others use the store: docs/catalogue.md)"
    return "\n".join(f"    {name:14}{text}" for name, text in rows.items())


AS_ROOT = """\
This store runs as root, nginx's workers included, because `make deploy` was run by root: a fault in any of its programs
is one of the whole machine. Use an account of its own, or the runtime systemd (docs/install-debian.md) for a store that
others reach."""


def main() -> str | int:
    """The command; returns what went wrong or an exit code."""
    root = Path(os.path.realpath(os.environ.get("ROOT") or place.ROOT))  # pyinfra refuses a link as a directory
    kept, wanted = place.kept_port(root), os.environ.get("PORT")
    port = wanted or str(kept or place.PORT)
    if fault := place.port_fault(port) or place.root_fault(root):
        return fault
    if failed := environment.main(environment.BASE):
        return failed
    with environment.alone("deploy"):
        code = _pyinfra(root, port, verbose=bool(os.environ.get("V")))
    if code == 0:
        moved = f"The store moved from port {kept} to {port}.\n" if kept and port != str(kept) else ""
        print(f"{moved}\n{_summary(root, port)}")
        if os.geteuid() == 0:
            print(f"\n{AS_ROOT}", file=sys.stderr)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted; make deploy continues where this one stopped.")
