"""The images of a release, built on the host by its own engine, beside those of the previous release."""

from collections.abc import Generator
from shlex import join, quote

from pyinfra import host
from pyinfra.api import FactBase, FileUploadCommand, StringCommand, operation

from deploys.host.releases import Releases, earlier
from deploys.plan.model import Plan, Stack
from deploys.plan.paths import ENVIRONMENT
from deploys.plan.release import Release, wheelhouse_tar
from deploys.plan.render import CHECKOUT
from deploys.remote.check import RECIPE


class Recipes(FactBase[dict[str, str]]):
    """Image name to the recipe that it was built from, for the images that exist."""

    default = dict

    def command(self, images: list[str]) -> str:
        label = f'{{{{index .Config.Labels "{RECIPE}"}}}}'
        each = f"docker image inspect --format {quote(label)} $image 2>/dev/null"
        return ENVIRONMENT + f'for image in {join(images)}; do echo "$image $({each})"; done'

    def process(self, output: list[str]) -> dict[str, str]:
        rows = [line.split() for line in output]
        return {words[0]: words[1] for words in rows if len(words) == 2}


def _upload(source: str, target: str) -> FileUploadCommand:
    """Through `_temp_dir`: /tmp of a NAS is small."""
    arguments = host.current_op_global_arguments
    place = arguments.get("_temp_dir") if arguments else None
    return FileUploadCommand(source, target, remote_temp_filename=host.get_temp_filename(target, temp_directory=place))


@operation()
def images_built(plan: Plan, stack: Stack) -> Generator[StringCommand | FileUploadCommand]:
    """The images of the release exist, built on the host from the release's directory."""
    names, release, wheelhouse = stack.images, plan.release, plan.data.wheelhouse
    if host.get_fact(Recipes, images=list(names.values())) == dict.fromkeys(names.values(), stack.recipe):
        return
    path = f"{stack.home}/releases/{release.id}"
    yield StringCommand(f"rm -rf {path} && mkdir -p {path}/wheels")
    for file in (release.wheel, release.lock, CHECKOUT / "files/compose/Dockerfile"):
        yield _upload(str(file), f"{path}/{file.name}")
    if wheelhouse:
        yield _upload(str(wheelhouse_tar(wheelhouse)), f"{path}/wheels.tar")
        yield StringCommand(f"tar -xf {path}/wheels.tar -C {path}/wheels && rm {path}/wheels.tar")
    source = "--no-index --find-links /build/wheels" if wheelhouse else "--no-cache-dir"
    build = f"docker build --quiet --label {RECIPE}={stack.recipe} --build-arg BASE={quote(plan.data.base_image)}"
    build += f" --build-arg PIP={quote(f'--no-deps {source}')}"  # the Dockerfile stays: an edit recreates nginx
    yield StringCommand(f"{ENVIRONMENT}cd {path} && {build} --target nginx --tag {names['nginx']} .")
    yield StringCommand(f"{ENVIRONMENT}cd {path} && {build} --tag {names['portal']} .")
    yield StringCommand(f"rm -rf {path}/wheels && touch {path}/complete")


@operation()
def images_pruned(release: Release, home: str) -> Generator[str]:
    """Only this release and the previous one keep their images."""
    found = host.get_fact(Releases, home=home)
    for identity in sorted(found["all"] - {release.id} - earlier(found, release)):
        yield f"{ENVIRONMENT}docker image rm mosis:{quote(identity)} >/dev/null 2>&1; rm -rf {home}/releases/{identity}"
