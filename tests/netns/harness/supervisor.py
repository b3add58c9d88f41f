# SPDX-License-Identifier: Apache-2.0
"""A service manager for a botlsd: keeps descriptors for it (FDSTORE) and passes them on at the next start (LISTEN_FDS),
as systemd does."""

import array
import contextlib
import fcntl
import os
import pathlib
import select
import shutil
import signal
import socket
import tempfile
import threading

from .process import Process
from .scene import Scene
from .usage import children
from .wait import wait_until

FIRST = 3
HIGH = 300  # where descriptors wait until bash has them where they belong


class Store:
    """Descriptors by name, dropped when their other end hangs up. What else is notified is kept as text."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="botls-"))
        self.path = self.folder / "notify"
        self.fds = []
        self.said = []
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            poll.register(self._wake[0], select.POLLIN)
            with self._lock:
                for _, fd in self.fds:
                    poll.register(fd, 0)
            ready = dict(poll.poll())
            if self._wake[0] in ready:
                return
            with self._lock:
                for entry in [e for e in self.fds if ready.get(e[1], 0) & (select.POLLHUP | select.POLLERR)]:
                    self._drop(entry)
            if self._socket.fileno() in ready:
                self._receive()

    def _drop(self, entry):
        self.fds.remove(entry)
        os.close(entry[1])

    def _receive(self):
        data, control, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(16 * 4))
        fds = array.array("i")
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[:len(value) // fds.itemsize * fds.itemsize])
        state = dict(line.partition("=")[::2] for line in data.decode().splitlines())
        with self._lock:
            self.said.append(data.decode())
            if state.get("FDSTORE") == "1":
                self.fds += [(state["FDNAME"], fd) for fd in fds]
                fds = ()
            if state.get("FDSTOREREMOVE") == "1":
                for entry in [e for e in self.fds if e[0] == state["FDNAME"]]:
                    self._drop(entry)
        for fd in fds:
            os.close(fd)

    def names(self):
        with self._lock:
            return [name for name, _ in self.fds]

    def copies(self):
        """(name, descriptor) of each, out of the way; the caller closes them."""
        with self._lock:
            return [(name, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)) for name, fd in self.fds]

    def clear(self):
        with self._lock:
            for entry in list(self.fds):
                self._drop(entry)
        self._turn()

    def _turn(self):
        """poll() holds what it waits for open: it has to begin anew."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"X_TURN=1", str(self.path))

    def close(self):
        self.clear()
        os.write(self._wake[1], b"x")
        self._thread.join()
        self._socket.close()
        for fd in self._wake:
            os.close(fd)
        shutil.rmtree(self.folder)


class SupervisedProcess(Process):
    def __init__(self, process, store):
        super().__init__(process.router, process.name, process.argv)
        self.plain = process.argv
        self.store = store
        self.more_env = {}

    def start(self):
        passed = self.store.copies()
        names = ":".join(name for name, _ in passed)
        moves = " ".join(f"{FIRST + i}<&{fd} {fd}<&-" for i, (_, fd) in enumerate(passed))
        script = f'exec {moves}; export LISTEN_PID=$$ LISTEN_FDS={len(passed)} LISTEN_FDNAMES="{names}"; exec "$@"'
        self.argv = ["bash", "-c", script if passed else 'exec "$@"', "bash", *self.plain]
        self.env = {"NOTIFY_SOCKET": str(self.store.path), **self.more_env}
        self.pass_fds = [fd for _, fd in passed]
        try:
            return super().start()
        finally:
            for _, fd in passed:
                os.close(fd)


class Supervisor:
    """Takes a botlsd (harness.botlsd.Botlsd) that does not run yet under its care."""

    def __init__(self, shim):
        self.shim = shim
        self.store = Store()
        shim.process = SupervisedProcess(shim.process, self.store)

    def restart(self, how=signal.SIGUSR1, while_down=None, argv=None):
        """As systemctl restart; SIGKILL: as Restart= after a crash. `argv`: another binary. Returns what the log says of the
        sessions."""
        process = self.shim.process
        before = len(self.told())
        process.signal(how)
        process.popen.wait(10)
        if while_down:
            while_down()
        if argv:
            process.plain = [str(a) for a in argv]
        self.shim.write_config()
        has_predecessor = bool(self.store.names())
        process.start()
        self.shim.wait_ready()
        if not has_predecessor:
            return None
        return wait_until(lambda: self.told()[before:], 15, "the log tells of the sessions")[0]

    def told(self):
        return [line for line in self.shim.log().splitlines() if "from the botlsd before" in line]

    def stop(self):
        """As systemctl stop: afterwards the store is empty."""
        self.shim.stop()
        self.store.clear()

    def old_workers(self):
        """Processes of workers that are not this botlsd's."""
        own = set(self.shim.worker_pids()) if self.shim.process.is_running() else set()
        return {int(name.rpartition("-")[2]) for name in self.store.names()} - own

    def wait_alone(self, deadline=10):
        wait_until(lambda: not self.old_workers(), deadline, "the old workers end")

    def assert_nothing_left(self):
        """No old process, and one end of the pair per worker."""
        self.wait_alone()
        shim = self.shim
        assert sorted(self.store.names()) == sorted(f"worker-{w['id']}-{w['pid']}" for w in shim.show()["workers"])
        assert sorted(children(shim.process.pid)) == sorted(shim.worker_pids())

    def close(self):
        self.store.close()


@contextlib.contextmanager
def stages(lab, pki):
    """A function that makes a Scene of supervised botlsds: (scene, supervisor of r1, supervisor of r2)."""
    with contextlib.ExitStack() as stack:
        def make(*families, start=True, **how):
            scene = Scene(lab, pki, *families, start=False, **how)
            supervisors = [Supervisor(side.shim) for side in scene.sides]
            for supervisor in supervisors:
                stack.callback(supervisor.close)
            if start:
                scene.start_shims()
            return scene, *supervisors

        yield make
