# SPDX-License-Identifier: Apache-2.0
"""botlsd on a router."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

from .process import Process
from .wait import Hopeless, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BUILD = REPOSITORY / (os.environ.get("BOTLS_BUILD") or os.environ.get("BUILD") or "build")
BOTLSD = pathlib.Path(os.environ.get("BOTLSD") or BUILD / "botlsd")
BOTLSCTL = pathlib.Path(os.environ.get("BOTLSCTL") or BUILD / "botlsctl")
BPFFS = pathlib.Path("/sys/fs/bpf/botls")
TLS_PORT = 8179



def how_to_build(name):
    path = BUILD / name
    folder = os.path.relpath(BUILD, REPOSITORY)
    return f"{path} is not built: make {'' if folder == 'build' else f'BUILD={folder} '}{folder}/{name}"


def built(name):
    """The path of what tests alone need, below the build folder. Without it they fail: a library for LD_PRELOAD that is not there is
    passed over, and nothing would be tested."""
    assert (BUILD / name).exists(), how_to_build(name)
    return (BUILD / name).resolve()


CALM = {"log-level": "debug", "user": "nobody", "handshake-rate": 1000}


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_value(v) for v in value) + "}"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def option_lines(options, indent=""):
    for name, value in options.items():
        if value is not None:
            yield f"{indent}{name.replace('_', '-')} = {_value(value)}"


class Refused(Exception):
    """botlsctl ended with an error; `answer` is what botlsd said, as far as it did."""

    def __init__(self, status, text, answer):
        super().__init__(f"exit status {status}: {text}")
        self.status = status
        self.text = text
        self.answer = answer


class Botlsd:
    """botlsd with its configuration as data: `options` global, `neighbors` {address: options}, `keys` {name: options}.

    Change both as you like and call write_config(), then reload().
    """

    def __init__(self, router, neighbors, identity=None, **options):
        self.router = router
        self.folder = router.subfolder("botls", "root")
        self.config_path = self.folder / "botlsd.conf"
        self.socket = self.folder / "control"
        self.neighbors = {name: dict(o) for name, o in neighbors.items()}
        self.keys = {}
        self.options = {**CALM, "steering": os.environ.get("BOTLS_STEERING"), "control-socket": self.socket,
                        **options}
        if os.environ.get("BOTLS_TEST_KTLS"):  # any test, with records in the kernel
            self.options.setdefault("ktls", "on")
        if identity:
            self.options.update(identity.options())
        self.process = Process(router, "botlsd", [BOTLSD, "-c", self.config_path])
        self.cookie = router.ns.cookie()
        router.botlsd = self

    @property
    def pins(self):
        return BPFFS / str(self.cookie)

    def config(self):
        lines = list(option_lines(self.options))
        for kind, blocks in (("key", self.keys), ("neighbor", self.neighbors)):
            for name, options in blocks.items():
                lines += [f'{kind} "{name}" {{', *option_lines(options, "\t"), "}"]
        return "\n".join(lines) + "\n"

    def write_config(self):
        self.config_path.write_text(self.config())
        self.config_path.chmod(0o600)

    def start(self, wait=True):
        self.write_config()
        self.process.start()
        return self.wait_ready() if wait else self

    def wait_ready(self):
        wait_until(self._answers, 15, f"botlsd on {self.router.name} starts")
        return self

    def _answers(self):
        if not self.process.is_running():
            raise Hopeless(f"botlsd has ended: {self.process.tail(lines=5)}")
        return self.worker_pids()

    def stop(self, timeout=10):
        """The orderly stop: everything it programmed goes away."""
        status = self.process.stop(timeout)
        assert status in (0, None), f"botlsd on {self.router.name} ended with {status}"

    def kill9_control(self):
        self.process.kill9()

    def worker_pids(self):
        return [w["pid"] for w in self.show()["workers"] if w["pid"]]

    def kill9_worker(self):
        """Kills all that run now and waits until others have taken their place."""
        pids = wait_until(self.worker_pids, 10, "a worker runs")
        for pid in pids:
            assert pid > 1
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: set(self.worker_pids()) - set(pids), 10, "another worker runs")

    def ctl(self, *words):
        """What `botlsctl --json` prints; Refused when it says no."""
        result = self.router.ns.run(BOTLSCTL, "-s", self.socket, "--json", *words, check=False)
        try:
            answer = json.loads(result.stdout)
        except ValueError:
            answer = {}
        if result.returncode:
            raise Refused(result.returncode, result.stdout + result.stderr, answer)
        return answer

    def show(self):
        return self.ctl("show")

    def neighbor(self, name):
        for n in self.show()["neighbors"]:
            if n["name"] == name:
                return n
        raise KeyError(name)

    def state(self, name):
        return self.neighbor(name)["state"]

    def sessions(self, name):
        return [s for s in self.neighbor(name).get("sessions", []) if s["state"] == "up"]

    def session_ids(self, name):
        return {s["id"] for s in self.sessions(name)}

    def steering(self):
        """The answer, also when something disagrees (exit status 1)."""
        try:
            return self.ctl("steering")
        except Refused as e:
            if "items" in e.answer:
                return e.answer
            raise

    def reload(self, dry_run=False):
        return self.ctl("reload", *(["--dry-run"] if dry_run else []))

    def reload_by_signal(self):
        generation = self.show()["generation"]
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: self.show()["generation"] != generation, 10, "SIGHUP reloads")

    def wait_up(self, name, deadline=30):
        """The session that carries BGP, over TLS."""
        def up():
            neighbor = self.neighbor(name)
            sessions = [s for s in neighbor["sessions"] if s["bgp"] == "established" and s["transport"] == "tls"]
            return neighbor["state"] == "up" and sessions and sessions[0]

        return wait_until(up, deadline, f"botlsd on {self.router.name} has {name} up")

    def wait_state(self, name, state, deadline=30):
        wait_until(lambda: self.state(name) == state, deadline,
                   f"botlsd on {self.router.name} has {name} {state}")

    def failures(self, name):
        return self.neighbor(name).get("failures") or {}

    def wait_failure(self, name, reason, direction=None, deadline=15):
        """Waits until the last failure is this one; returns it."""
        def failed():
            last = self.neighbor(name).get("last_failure")
            return last and last["reason"] == reason and direction in (None, last["direction"]) and last

        return wait_until(failed, deadline, f"botlsd on {self.router.name} refuses {name}: {reason}")

    def log(self):
        try:
            return self.process.output.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def logs(self):
        yield "botlsd", self.process.tail(lines=120)
        yield "pins", " ".join(pin.name for pin in self.left_in_bpffs())
        if not self.process.is_running():
            return
        try:
            yield "botlsctl show", json.dumps(self.show(), indent=1)
            steering = self.steering()
            steering["items"] = [item for item in steering["items"] if item["state"] != "ok"]
            yield "botlsctl steering, what is not ok", json.dumps(steering, indent=1)
        except (Refused, subprocess.TimeoutExpired) as e:
            yield "botlsctl", str(e)

    def left_in_bpffs(self):
        return sorted(self.pins.iterdir()) if self.pins.is_dir() else []

    def clean_up(self):
        """For the end of a test, however it ended: also what a killed botlsd left pinned."""
        if self.process.is_running():
            self.process.stop(5)
        shutil.rmtree(self.pins, ignore_errors=True)


def is_built():
    return BOTLSD.exists() and BOTLSCTL.exists()


def delete_leftover_pins(cookies):
    """Pins of namespaces of dead test runs."""
    for cookie in cookies:
        shutil.rmtree(BPFFS / str(cookie), ignore_errors=True)
