# SPDX-License-Identifier: Apache-2.0
"""The server as a program, and calls to one that runs.

usage: serve [OPTION...]                       runs until SIGTERM, SIGINT or the call stop_server
       serve ctl ADMIN CALL [ARGUMENT=VALUE...]  one call of the admin interface; prints its result as JSON
       serve misbehaviours | presets | calls | settings   lists them

  --config FILE      settings as a JSON object (serve settings prints all of them)
  --preset NAME      the wire profile
  --asn N            the server's AS number
  --listen ADDRESS   HOST:PORT or [V6]:PORT; port 0 takes a free one (default 127.0.0.1:0)
  --admin ADDRESS    HOST:PORT on loopback, or unix:PATH
  --peeringdb ADDRESS, --trap ADDRESS, --auth ADDRESS   the other listeners
  --set NAME=VALUE   any setting, or profile.NAME; VALUE is JSON or else text
  --ready FILE       written when everything listens: one line of JSON with the URLs; also printed
"""

import dataclasses
import json
import os
import signal
import sys

from . import control, misbehaviours
from .admin import Remote, argument
from .server import Server
from .settings import PRESETS, Settings, Wrong, load

OPTIONS = {"--preset": "profile", "--asn": "asn", "--listen": "listen", "--admin": "admin", "--peeringdb": "peeringdb_listen",
           "--trap": "trap_listen", "--auth": "auth_listen"}


def options(words):
    """(path of the settings or None, changes, path of the ready file or None)"""
    config = ready = None
    changes, words = {}, iter(words)
    for word in words:
        value = next(words, None)
        if value is None:
            raise Wrong(f"{word} needs a value")
        if word == "--config":
            config = value
        elif word == "--ready":
            ready = value
        elif word == "--set":
            name, equals, text = value.partition("=")
            if not equals:
                raise Wrong(f"--set {value}: NAME=VALUE is wanted")
            profile, dot, part = name.partition(".")
            if profile == "profile" and dot:
                old = changes.setdefault("profile", {})
                changes["profile"] = {**({"preset": old} if isinstance(old, str) else old), part: argument(text)}
            else:
                changes[name] = argument(text)
        elif word in OPTIONS:
            changes[OPTIONS[word]] = int(value) if word == "--asn" and value.isdigit() else value
        else:
            raise Wrong(f"unknown option {word}")
    return config, changes, ready


def run(words):
    config, changes, ready = options(words)
    server = Server(load(config, **changes))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop_wanted.set())
    with server:
        line = json.dumps({**server.info(), "pid": os.getpid()})
        if ready:
            with open(ready + ".new", "w", encoding="utf-8") as f:
                f.write(line + "\n")
            os.replace(ready + ".new", ready)
        print(line, flush=True)
        server.stop_wanted.wait()
        for failure in server.failures():
            print(failure, file=sys.stderr)
        return 1 if server.failures() else 0


def ctl(words):
    if len(words) < 2:
        raise Wrong("ctl needs ADMIN and CALL")
    address, name, *rest = words
    arguments = {}
    for word in rest:
        key, equals, text = word.partition("=")
        if not equals:
            raise Wrong(f"{word}: ARGUMENT=VALUE is wanted")
        arguments[key] = argument(text)
    print(json.dumps(Remote(address).call(name, **arguments), indent=2, ensure_ascii=False))
    return 0


def listing(what):
    if what == "misbehaviours":
        for m in misbehaviours.CATALOGUE.values():
            defaults = " ".join(f"{n}={json.dumps(v)}" for n, v in m.defaults.items())
            print(f"{m.group:<11}{m.name:<26}{m.text}{f' [{defaults}]' if defaults else ''}")
    elif what == "calls":
        for name, function in control.CALLS.items():
            print(f"{name:<18}{(function.__doc__ or '').splitlines()[0]}")
    else:
        print(json.dumps(PRESETS if what == "presets" else dataclasses.asdict(Settings()), indent=2))
    return 0


def main(words):
    try:
        if words and words[0] in ("-h", "--help"):
            print(__doc__)
            return 0
        if words and words[0] == "ctl":
            return ctl(words[1:])
        if len(words) == 1 and words[0] in ("misbehaviours", "presets", "calls", "settings"):
            return listing(words[0])
        return run(words)
    except (Wrong, OSError) as e:
        print(f"peering_api: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
