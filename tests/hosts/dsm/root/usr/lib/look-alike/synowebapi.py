#!/usr/bin/python3
"""Imitates DSM's synowebapi: one call of DSM's web API from a root shell. Exit code 0 whatever the API answers."""

import json
import os
import sys

import api_events
import api_storage
import api_tasks
from syno import log_refusal, refuse
from webapi import Unknown, Wrong

CALLS = {**api_tasks.CALLS, **api_events.CALLS, **api_storage.CALLS}
NO_SUCH_API, NO_SUCH_METHOD, NO_SUCH_VERSION, BAD_PARAMETER, NOT_THERE = 102, 103, 104, 120, 4800


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "-s"]
    if os.geteuid():
        refuse("must be run as root")
    if words[:1] != ["--exec"]:
        refuse("takes --exec api=API method=METHOD version=NUMBER [KEY=VALUE ...]")
    if wrong := [word for word in words[1:] if "=" not in word]:
        refuse(f"not KEY=VALUE: {wrong}")
    given = dict(word.split("=", 1) for word in words[1:])
    api, method, version = (given.pop(key, "") for key in ("api", "method", "version"))
    parameters = {key: _value(key, value) for key, value in given.items()}
    what = f"api={api}, version={version}, method={method}, param={json.dumps(parameters)}, runner="
    print(f"[Line 295] Exec WebAPI:  {what}", file=sys.stderr)
    print(json.dumps(_answer(api, method, version, parameters), indent=3))


def _value(key: str, text: str) -> object:
    if text in ("True", "False", "None"):
        refuse(f"{key}={text} is Python, not JSON")
    try:
        return json.loads(text)
    except ValueError:
        if text[:1] in ('"', "{", "["):
            refuse(f"{key} is broken JSON: {text}")
        return text  # a bare word is a string


def _answer(api: str, method: str, version: str, parameters: dict) -> dict:
    if api not in CALLS:
        return _error(NO_SUCH_API, f"unknown API {api}")
    if method not in CALLS[api]:
        return _error(NO_SUCH_METHOD, f"{api} has no method {method!r} here")
    call = CALLS[api][method]
    if version != str(call.version):
        return _error(NO_SUCH_VERSION, f"{api} {method} has version {call.version}, not {version!r}")
    try:
        return {"data": call(parameters), "success": True}
    except Unknown:
        return {"error": {"code": NOT_THERE}, "success": False}
    except Wrong as error:
        return _error(BAD_PARAMETER, f"{api} {method}: {error}")


def _error(code: int, reason: str) -> dict:
    log_refusal(reason)
    print(reason, file=sys.stderr)
    return {"error": {"code": code}, "success": False}


if __name__ == "__main__":
    main()
