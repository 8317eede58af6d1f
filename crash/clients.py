"""Clients of the store, each with an app of its own: what they may send next, and what an answer acknowledges."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Semaphore

from crash import content
from crash.content import Picture
from crash.facts import REJECTED, App, Facts, Placed, Upload
from crash.http import Answer, Client, Unanswered, form

OPEN_MAX = 4
JSON = {"Content-Type": "application/json"}
TUS = {"Tus-Resumable": "1.0.0"}
SCREENSHOTS = 5
REASON = "so"
KILL_SECONDS = 10.0  # between the first process that is killed and the last


class Wrong(Exception):
    """The store answered what it never should, without any kill."""


@dataclass(frozen=True)
class Gallery:
    icons: list[Picture]
    screenshots: list[Picture]


@dataclass
class Publisher:
    """Sends random requests, one after another, about its app."""

    app: App
    developer: Client
    reviewer: Client
    rng: Random
    scratch: Path
    gallery: Gallery
    answered: Semaphore  # released at each answer
    wrong: list[str] = field(default_factory=list)

    def run(self, killed: Event) -> None:
        """Send requests until the kill, or until one has no answer."""
        try:
            while not killed.is_set():
                self._step()
        except Unanswered as unanswered:
            if not killed.wait(KILL_SECONDS):
                self.wrong.append(f"no answer before the kill: {unanswered}")
        except Wrong as wrong:
            self.wrong.append(str(wrong))

    def _step(self) -> None:
        possible = self._possible()
        step, given = self.rng.choices([p[1:] for p in possible], [p[0] for p in possible])[0]
        step(*given)

    def _possible(self) -> list[tuple[int, Callable[..., None], tuple[object, ...]]]:
        """Requests that the store must not refuse: weight, function, arguments."""
        app = self.app
        if app.again:
            return [(1, self.form, app.again)]
        whole = [upload for upload in app.uploads.values() if upload.whole]
        parts = [upload for upload in app.uploads.values() if not upload.whole]
        first_open = min((upload.code for upload in app.uploads.values()), default=app.last_code + 1)
        highest = max(app.codes("published") + app.codes("yanked"), default=0)
        drafts, reviews, published = app.codes("draft"), app.codes("in_review"), app.codes("published")
        submittable = [c for c in drafts if highest < c < first_open and f"version {c}" not in app.due]
        publishable = [c for c in reviews if highest < c < first_open]
        shots = [name for name in app.images if name.startswith("screenshots/")]
        found: list[tuple[int, Callable[..., None], tuple[object, ...]]] = [
            (4, self.form, ()), (1, self.invalid, ()), (2, self.icon, ()), (1, self.screenshot, ()),
        ]  # fmt: skip
        if len(app.uploads) < OPEN_MAX:
            found.append((4, self.issue, ()))
        found += [(4, self.send, (self.rng.choice(parts),))] if parts else []
        found += [(4, self.complete, (self.rng.choice(whole),))] if whole else []
        found += [(3, self.move, (submittable[-1], "submit"))] if submittable else []
        found += [(4, self.move, (publishable[-1], "publish"))] if publishable else []
        found += [(1, self.move, (published[-1], "yank"))] if published else []
        found += [(1, self.delete_screenshot, (self.rng.choice(shots),))] if shots else []
        if app.waiting:
            found += [(2, self.publish_images, ()), (1, self.discard_images, ())]
            found += [] if app.facts.get(REJECTED) else [(1, self.reject_images, ())]
        return found

    def form(self, code: int | None = None, package: bytes | None = None, key: str | None = None) -> None:
        """Upload a version as a form; an earlier one again, with its key, when it had no answer."""
        if code is None or package is None or key is None:
            code, package = self._next()
            key = f"{self.app.app_id}-{code}"
        app, name = self.app, f"version {code}"
        app.again = (code, package, key)
        body, headers = form("package", package, version_code=str(code))
        there = name in app.facts
        with app.changing("versions", {name: Placed("draft", content.sha256(package))}):
            answer = self.developer.ask("POST", self._path("/versions"), body, headers | {"Idempotency-Key": key})
            # Of a request that was finished and not answered the store may not know the answer any more.
            self._expect(answer, 201, *((409,) if there else ()))
        app.again = None

    def invalid(self) -> None:
        code, package = self._next()
        body, headers = form("package", package, version_code=str(code + 1))
        self._expect(self.developer.ask("POST", self._path("/versions"), body, headers), 422)

    def issue(self) -> None:
        code, package = self._next()
        body = json.dumps({"size": len(package), "sha256": content.sha256(package)}).encode()
        answer = self.developer.ask("POST", self._path("/uploads"), body, JSON)
        self._expect(answer, 201)
        given = json.loads(answer.body)
        tus = self.rng.random() < 0.5
        self.app.uploads[given["upload_id"]] = Upload(given["upload_id"], given["url"], code, package, tus)

    def send(self, upload: Upload) -> None:
        """The whole body by PUT, or its next piece by tus."""
        if upload.tus:
            left = len(upload.data) - upload.acknowledged
            piece = left if left < 400 else self.rng.randrange(200, left + 1)
            headers = TUS | {
                "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(upload.acknowledged)
            }  # fmt: skip
            body = upload.data[upload.acknowledged : upload.acknowledged + piece]
            answer = self.developer.ask("PATCH", upload.url, body, headers)
        else:
            piece, headers = len(upload.data), {"Content-Type": "application/octet-stream"}
            answer = self.developer.ask("PUT", upload.url, upload.data, headers)
        self._expect(answer, 204)
        upload.acknowledged += piece
        self.app.acknowledged["whole uploads" if upload.whole else "pieces"] += 1

    def complete(self, upload: Upload) -> None:
        upload.completing = True
        with self.app.changing("versions", {f"version {upload.code}": Placed("draft", content.sha256(upload.data))}):
            self._expect(self.developer.ask("POST", f"/api/uploads/{upload.upload_id}/complete"), 201)
        del self.app.uploads[upload.upload_id]

    def move(self, code: int, action: str) -> None:
        """Change the status of a version; a publish takes the images that wait along, or not."""
        app, name = self.app, f"version {code}"
        status = {"submit": "in_review", "publish": "published", "yank": "yanked"}[action]
        changes: Facts = {name: Placed(status, app.placed(code).sha256)}
        if action == "publish":
            changes["current"] = code
        if action == "yank":
            changes["current"] = max((c for c in app.codes("published") if c != code), default=None)
        client, body = self.reviewer if action == "publish" else self.developer, {"reason": REASON}
        if action == "publish" and app.waiting and self.rng.random() < 0.5:
            changes |= app.without_waiting(published=True)
            body["images_sha256"] = content.digest_of_images(app.images)
        with app.changing("changes of status", changes):
            answer = client.ask("POST", self._path(f"/versions/{code}/{action}"), json.dumps(body).encode(), JSON)
            self._expect(answer, 200)

    def icon(self) -> None:
        picture = self.rng.choice(self.gallery.icons)
        with self.app.changing("images", self.app.with_images(picture.stored)):
            self._expect(self.developer.ask("POST", self._path("/icon"), *form("icon", picture.body)), 200)

    def screenshot(self) -> None:
        """Add one under the lowest free number, or replace one."""
        picture, number = self.rng.choice(self.gallery.screenshots), self.rng.randrange(1, SCREENSHOTS + 1)
        free = [n for n in range(1, SCREENSHOTS + 1) if f"screenshots/{n}.png" not in self.app.images]
        add = bool(free) and self.rng.random() < 0.5
        number = free[0] if add else number
        path = self._path("/screenshots" if add else f"/screenshots/{number}")
        with self.app.changing("images", self.app.with_images({f"screenshots/{number}.png": picture.stored[""]})):
            answer = self.developer.ask("POST", path, *form("screenshot", picture.body))
            self._expect(answer, 201 if add else 200)

    def delete_screenshot(self, name: str) -> None:
        number = name.removeprefix("screenshots/").removesuffix(".png")
        with self.app.changing("images", self.app.with_images({name: None})):
            self._expect(self.developer.ask("DELETE", self._path(f"/screenshots/{number}")), 204)

    def publish_images(self) -> None:
        self._review("publish", self.app.without_waiting(published=True))

    def reject_images(self) -> None:
        self._review("reject", {REJECTED: REASON})

    def _review(self, action: str, changes: Facts) -> None:
        body = {"sha256": content.digest_of_images(self.app.images), "reason": REASON}
        with self.app.changing("reviews of images", changes):
            path = self._path(f"/images/{action}")
            self._expect(self.reviewer.ask("POST", path, json.dumps(body).encode(), JSON), 200)

    def discard_images(self) -> None:
        with self.app.changing("reviews of images", self.app.without_waiting(published=False)):
            self._expect(self.developer.ask("DELETE", self._path("/images")), 204)

    def _next(self) -> tuple[int, bytes]:
        self.app.last_code += 1
        return self.app.last_code, content.package(self.scratch, self.rng, self.app.app_id, self.app.last_code)

    def _path(self, rest: str) -> str:
        return f"/api/apps/{self.app.app_id}{rest}"

    def _expect(self, answer: Answer, *statuses: int) -> None:
        if answer.status not in statuses:
            raise Wrong(f"{self.app.app_id}: {answer.status} instead of {statuses[0]}: {answer.body[:300]!r}")
        self.answered.release()
