# SPDX-License-Identifier: Apache-2.0
"""kill -9 of botlsd's processes at random moments, under load, with the wire watched.

Routes are announced and withdrawn all the time, on both ends, so that a kill finds bytes everywhere.
"""

import os
import random
import signal
import subprocess
import threading
import time

from .bird import Bird
from .scene import Scene
from .usage import children, processes
from .wait import wait_until

ROUTES = 300  # of each family and side, that come and go


def _routes(side, v6):
    return [f"2001:db8:{side}{i:03x}::/48" if v6 else f"10.{side * 10 + (i >> 8)}.{i & 255}.0/24" for i in range(ROUTES)]


class Churn:
    """Announces and withdraws a daemon's routes until stop(), from a thread; `error` is why it stopped by itself."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.turns = 0
        self.error = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._guard, daemon=True)
        self._thread.start()

    def _guard(self):
        try:
            self._run()
        except subprocess.SubprocessError as e:
            self.error = e

    def _run(self):
        while not self._is_stopping.wait(0.2):
            if isinstance(self.daemon, Bird):
                for protocol in ("s4", "s6"):
                    self.daemon.birdc("restart", protocol, check=False)
            else:
                self.daemon.vtysh("clear bgp * out")
            self.turns += 1

    def stop(self):
        self._is_stopping.set()
        self._thread.join()


class Killing:
    """A scene of IPv4 and IPv6 under load. `victims` of kill(): "a worker", "a control", "b worker", "b control"."""

    def __init__(self, lab, pki, seed, steering, daemons):
        self.random = random.Random(seed)
        self.scene = Scene(lab, pki, "v4", "v6", start=False)
        for i, side in enumerate(self.scene.sides):
            side.shim.options.update({"steering": steering, "log-level": "info"})
            side.networks = (*side.networks, *_routes(i + 1, False), *_routes(i + 1, True))
        self.scene.start_shims()
        self.scene.daemons(*daemons)
        self.wait_up(60)
        self.pins = self.pinned()
        self.churns = [Churn(side.daemon) for side in self.scene.sides]
        self.killed = {}

    def pinned(self):
        return [[pin.name for pin in side.shim.left_in_bpffs()] for side in self.scene.sides]

    def processes(self):
        return {name: pid for side in self.scene.sides for name, pid in processes(side.shim).items()}

    def wait_up(self, deadline):
        """Every session is established over TLS, as both daemons and both shims see it."""
        for side in self.scene.sides:
            for address in self.scene.other(side).addresses:
                side.daemon.wait_established(address, deadline)
                side.shim.wait_up(address, deadline)

    def kill(self, victim):
        side = self.scene.side_a if victim[0] == "a" else self.scene.side_b
        shim = side.shim
        orphans = children(shim.process.pid)
        if victim.endswith("control"):
            shim.kill9_control()
            wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in orphans), 10,
                       "workers end with their control")
            time.sleep(self.random.choice((0, 0, 0.3, 1.5)))  # closed, with daemons that dial
            shim.start(wait=False)
        else:
            try:
                for pid in orphans:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                orphans = []
            if not orphans:
                return False  # the one before has just been killed
        self.killed[victim] = self.killed.get(victim, 0) + 1
        return True

    def burst(self, victims, count):
        """`count` kills at random moments, without waiting for what is killed to be well again; then all is."""
        while count > 0:
            time.sleep(self.random.choice((0, 0.05, 0.2, 0.5, 1.0)) * self.random.random())
            count -= self.kill(self.random.choice(victims))
        for side in self.scene.sides:
            side.shim.wait_ready()
        self.wait_up(60)
        assert not self.scene.capture.leaks, "clear text on the wire: " + str(self.scene.capture.leaks[0])
        assert self.pinned() == self.pins, "what is pinned is what was pinned before"

    def finish(self):
        """The orderly stop of both: nothing is left."""
        for churn in self.churns:
            churn.stop()
            assert churn.turns > 0
        self.scene.assert_private()
        for side in self.scene.sides:
            assert side.shim.steering()["agrees"] is True
            pid = side.shim.process.pid
            side.shim.stop()
            assert not side.shim.pins.exists() and not side.shim.socket.exists()
            assert not os.path.exists(f"/proc/{pid}")
