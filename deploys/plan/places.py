"""Where a store and the copy of it may lie, as far as their paths alone tell."""

from pathlib import Path

from deploys.make import place
from deploys.plan.data import HostData, PlanError
from deploys.plan.paths import HOME
from portal.settings import Backup, Settings

OF_SYSTEM = tuple(map(Path, ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr")))
SHARED = tuple(map(Path, ("/", "/home", "/opt", "/var", "/var/cache", "/var/lib", "/var/log", HOME)))
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108, refused


def require_sound(data: HostData, settings: Settings) -> None:
    """Raises PlanError where the programs could not reach the store, or one disk would hold it and its copy."""
    root = data.root
    hidden = next((parent for parent in HIDDEN if root.is_relative_to(parent)), None)
    if root in SHARED:  # it gets an owner and a mode that shut out everybody else
        raise PlanError(f"Host data: mosis_root: {root} is not the store's alone; name a directory of its own.")
    if of_system := next((parent for parent in OF_SYSTEM if root.is_relative_to(parent)), None):
        raise PlanError(f"Host data: mosis_root: {of_system} belongs to the system; take a root elsewhere.")
    if data.runtime == "systemd" and hidden:
        raise PlanError(f"Host data: mosis_root: the hardened units see nothing of {hidden}; take a root elsewhere.")
    if settings.backup and data.runtime == "compose" and (wrong := place.not_plain(str(settings.backup.mount))):
        raise PlanError(
            f"Host data: mosis_settings: backup.mount contains {wrong}; with containers it may hold {place.PLAIN}."
        )
    if settings.backup and (fault := _backup_fault(settings.backup, root)):
        raise PlanError(f"Host data: mosis_settings: backup.{fault}.")


def _backup_fault(backup: Backup, root: Path) -> str | None:
    if backup.mount == Path("/"):
        return "mount: / is the system's own disk; name the mount point of the external drive"
    if not backup.directory.is_relative_to(backup.mount):
        return f"directory: {backup.directory} is not below the mount point {backup.mount}"
    if backup.directory.is_relative_to(root) or root.is_relative_to(backup.directory):
        return f"directory: {backup.directory} and the root {root} contain one another; a copy belongs on another disk"
    return None
