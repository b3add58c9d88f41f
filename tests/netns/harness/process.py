# SPDX-License-Identifier: Apache-2.0
"""A program that runs inside a router's namespace, its output in a file of the router's folder."""

import os
import signal
import subprocess


class Process:
    def __init__(self, router, name, argv, env=None):
        self.router = router
        self.name = name
        self.argv = [str(a) for a in argv]
        self.env = env
        self.pass_fds = ()
        self.output = router.folder / f"{name}.out"
        self.popen = None

    def start(self):
        assert not self.is_running(), f"{self.name} runs already"
        with open(self.output, "ab") as out:
            self.popen = subprocess.Popen(
                self.router.ns.command(*self.argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=self.router.folder, env={**os.environ, **self.env} if self.env else None, pass_fds=self.pass_fds)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        os.kill(self.popen.pid, number)

    def stop(self, timeout=10):
        """SIGTERM, then SIGKILL. Returns the exit status, None when it did not run."""
        if self.popen is None:
            return None
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def tail(self, path=None, lines=80):
        path = path or self.output
        try:
            text = path.read_text(errors="replace").splitlines()
        except OSError as e:
            return str(e)
        return "\n".join(text[-lines:])
