# SPDX-License-Identifier: Apache-2.0
"""The openssl program as the other end: what it says is kept byte by byte."""

import subprocess
import threading

from .wait import wait_until


class OpenSsl:
    """`openssl WORDS` inside a namespace; what it prints and what it receives are in `received`, its
    complaints in `errors`."""

    def __init__(self, ns, *words):
        self.words = words
        self.received = b""
        self.errors = ""
        self.popen = subprocess.Popen(ns.command("openssl", *words), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read_out, self._read_err)]
        for thread in self._threads:
            thread.start()

    def _read_out(self):
        while True:
            data = self.popen.stdout.read1(65536)
            if not data:
                return
            self.received += data

    def _read_err(self):
        for line in self.popen.stderr:
            self.errors += line.decode(errors="replace")

    def send(self, data):
        self.popen.stdin.write(data)
        self.popen.stdin.flush()

    def wait_received(self, what, deadline=10):
        wait_until(lambda: what in self.received, deadline, f"openssl {self.words[0]} receives {what!r}")

    def wait_error(self, text, deadline=10):
        wait_until(lambda: text in self.errors, deadline, f"openssl {self.words[0]} says '{text}': {self.errors}")

    def wait_end(self, deadline=15):
        try:
            status = self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"openssl {self.words[0]} still runs; it said {self.errors}{self.received!r}")
        for thread in self._threads:
            thread.join(5)
        return status

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        for thread in self._threads:
            thread.join(5)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
