# SPDX-License-Identifier: Apache-2.0
"""A machine that fails beneath us: no descriptors, no memory, a clock that jumps, another botlsd, netlink that
loses messages, interfaces that come and go, certificates half written. docs/bad-input.md has the list."""

import contextlib
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess

import pytest

from cryptography.exceptions import InvalidTag

from harness import rawtls as t
from harness.badstage import MARKER, BadStage, Undisturbed
from harness.botlsd import BOTLSD, Botlsd, Refused
from harness.faults import Faults
from harness.process import Process
from harness.sanitizer import SANITIZED
from harness.wait import SLOW, hold_for, wait_until

SAMPLES = 40  # of the allocations; tests/long/test_flood.py takes each
TEN_YEARS = 3650 * 86400
needs_faults = pytest.mark.skipif(SANITIZED, reason="a sanitizer's own malloc() comes first")


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    router = module_lab.folder / "faults"
    faults = None if SANITIZED else Faults(router)
    made = BadStage(module_lab, pki, 60, {"handshake-timeout": 3 * SLOW, "hold-time": 0}, env=faults and faults.env)
    made.faults = faults
    return made


def greet(stage, address):
    """A handshake and a daemon's OPEN: True when all of it worked."""
    try:
        client = stage.client(address)
        with client.sock:
            return client.handshake().read().startswith(MARKER)
    except (t.Alert, t.Closed, OSError, InvalidTag):  # an alert under keys that we do not have yet
        return False


# --- descriptors

def set_limit(pid, number, is_worker=False):
    """None: as many as it may have. As the process's own user, who may do so without any capability."""
    hard = resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE)[1]
    owner = pwd.getpwnam("nobody").pw_uid if is_worker else 0
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={number or hard}:"], check=True,
                   **({"user": owner, "group": pwd.getpwuid(owner).pw_gid} if owner else {}))


def first_free(pid):
    taken = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    return min(set(range(len(taken) + 1)) - taken)


def test_a_worker_without_descriptors(stage, module_lab):
    """It says so, waits without spinning, and goes on when there are some."""
    address = stage.address()
    worker = stage.shim.worker_pids()[0]
    with Undisturbed(stage):
        set_limit(worker, first_free(worker), True)
        try:
            with stage.connect(address):
                wait_until(lambda: "cannot accept a connection: Too many open files" in stage.shim.log(), 10, "it is told")
                assert "raise LimitNOFILE=" in stage.shim.log()
                before = cpu(worker)
                stage.good_flows()
                hold_for(lambda: stage.shim.log().count("Too many open files") < 10, 1, "it does not spin")
                assert cpu(worker) - before < 50, "it spins"
        finally:
            set_limit(worker, None, True)
        assert wait_until(lambda: greet(stage, address), 15, "it accepts again")


def cpu(pid):
    """Ticks of 10 ms."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_control_without_descriptors(stage, module_lab):
    """No socket can be made for a session, in either direction: that session ends with the reason."""
    outward, inward = stage.address(), stage.address()
    control = stage.shim.process.pid
    with Undisturbed(stage):
        set_limit(control, first_free(control))
        try:
            with pytest.raises(ConnectionResetError):
                with stage.dial(outward) as daemon:
                    daemon.recv(1)
            assert not greet(stage, inward)
            wait_until(lambda: all(any(f"neighbor {a}: " in line and "Too many open files" in line
                                       for line in stage.shim.log().splitlines()) for a in (outward, inward)), 10,
                       "both are told")
        finally:
            set_limit(control, None)
        assert greet(stage, inward)


# --- memory

def spread(count):
    """Which of `count` allocations fail: the first ones each, then every so many."""
    return sorted({*range(1, min(6, count)), *range(1, count, max(1, count // SAMPLES))})


@needs_faults
def test_memory_of_a_worker(stage, module_lab):
    """Whichever allocation of a session fails, that session ends, and nothing else."""
    address = stage.address()
    assert greet(stage, address)
    worker = stage.shim.worker_pids()[0]
    count = stage.faults.count_of(worker, lambda: greet(stage, address))
    assert count > 200, "the library counts"
    pids, lost, session = stage.pids(), 0, stage.good_session()
    for at in spread(count):
        stage.faults.fail(worker, at)
        lost += not greet(stage, address)
        stage.faults.stop()
    assert stage.pids() == pids, "a process has died"
    assert lost > SAMPLES // 4, "what failed was needed"
    assert "memory" in stage.failure(address)["text"] or stage.shim.failures(address).get("memory"), stage.shim.failures(address)
    # The one that was short of memory may have been the good one, but for its own allocations only.
    assert stage.good_session() == session
    stage.good_flows()
    assert greet(stage, address)


@needs_faults
def test_memory_of_a_reload(stage, module_lab):
    """It is refused and the old configuration stays, or it is done; control lives."""
    control = stage.shim.process.pid

    def reload(ttl):
        stage.shim.neighbors[stage._hosts[-1]]["ttl"] = ttl
        stage.shim.write_config()
        return stage.shim.reload()

    count = stage.faults.count_of(control, lambda: reload(200))
    refused = 0
    stage.good_flows()
    for i, at in enumerate(spread(count)):
        stage.faults.fail(control, at)
        try:
            reload(100 + i)
        except Refused as e:
            refused += 1
            assert e.text.strip(), "no word of why"
        stage.faults.stop()
        try:
            stage.shim.show()
        except Refused:
            # libconfuse's lexer ends the program by itself; the next start takes everything over
            wait_until(lambda: not stage.shim.process.is_running(), 10, "control has ended")
            assert re.search("lexer.l|out of dynamic memory in yy_", stage.shim.process.tail(lines=8)), stage.shim.process.tail()
            stage.shim.start()
            control = stage.shim.process.pid
    reload(255)
    assert refused > SAMPLES // 4, "what failed was needed"
    stage.wait_good()
    stage.good_flows()


@needs_faults
def test_memory_of_a_start(stage, module_lab):
    """`botlsd -n` reads, checks and says what is wrong; it never falls."""
    faults = Faults(module_lab.folder / "faults-start")

    def start(at):
        # the pid is not known before: 0 is nobody, so a small shell says its own
        script = f"""import os,struct,mmap
f = open({str(module_lab.folder / 'faults-start')!r}, "r+b")
m = mmap.mmap(f.fileno(), 4096)
struct.pack_into("qqq", m, 0, os.getpid(), {at}, 0)
os.environ.update({faults.env!r})
os.execv({str(BOTLSD)!r}, ["botlsd", "-n", "-c", {str(stage.shim.config_path)!r}])
"""
        return stage.a.ns.run("/usr/bin/python3", "-c", script, check=False)

    assert start(0).returncode == 0
    refused = 0
    for at in spread(faults.count):
        result = start(at)
        # 2: libconfuse's lexer ends the program itself
        assert result.returncode in (0, 1, 3) or (result.returncode == 2 and "out of dynamic memory in yy" in result.stderr), \
            f"allocation {at}: {result.returncode} {result.stderr}"
        if result.returncode:
            refused += 1
            assert (result.stderr + result.stdout).strip(), f"allocation {at}: no word of why"
    assert refused > SAMPLES // 4, "what failed was needed"


# --- the clock

@needs_faults
def test_the_clock_jumps(stage, module_lab):
    """Ten years each way: what is established stays, a certificate is judged by the time that is shown, and
    when that is right again so is everything."""
    address = stage.address()
    with Undisturbed(stage):
        for offset, reason in ((TEN_YEARS, "expired"), (-TEN_YEARS, "not-yet-valid")):
            stage.faults.clock_offset = offset
            assert not greet(stage, address)
            stage.shim.wait_failure(address, reason)
            stage.good_flows()
            assert stage.shim.show()["neighbors"]
        for offset in (1, 3600, -3600, 86400, -86400, 60, 0) * 3:
            stage.faults.clock_offset = offset
            stage.shim.show()
        stage.faults.clock_offset = 0
        assert greet(stage, address)


# --- another botlsd

def test_a_second_botlsd(stage, module_lab):
    """It says who has the port, ends, and has touched nothing of the first one."""
    folder = stage.a.subfolder("second", "root")
    config = folder / "botlsd.conf"
    options = {**stage.shim.options, "control-socket": folder / "control"}
    first = Botlsd.config(stage.shim)
    items = stage.shim.steering()["items"]
    with Undisturbed(stage):
        for text in (first, first.replace(str(stage.shim.socket), str(options["control-socket"]))):
            config.write_text(text)
            second = Process(stage.a, "second", [BOTLSD, "-c", config]).start()
            wait_until(lambda: not second.is_running(), 20, "it ends")
            assert second.popen.returncode == 1
            assert "another botlsd" in second.tail(), second.tail()
            stage.shim.show()
            wait_until(lambda: [i for i in stage.shim.steering()["items"] if i["state"] != "ok"] ==
                       [i for i in items if i["state"] != "ok"], 10, "everything is where it was")
        # Taken, by us: nobody is there, so it may be over at once.
        with contextlib.suppress(ConnectionResetError):
            stage.dial(stage._hosts[0]).close()


# --- the network

def test_lost_netlink_messages(stage, module_lab):
    """Control is stopped while more happens than its socket holds: what it then sees is what there is."""
    control = stage.shim.process.pid
    stage.a.ns.ip("link add noise0 type veth peer name noise1", "link set noise0 up", "link set noise1 up")
    with Undisturbed(stage, kilobytes=20000):
        os.kill(control, signal.SIGSTOP)
        try:
            for i in range(8):
                stage.a.ns.ip(*(f"addr {what} 10.{90 + i}.{n >> 8}.{n & 255}/32 dev noise0"
                                for n in range(400) for what in ("add", "del")))
            # the last word is one that matters: the neighbor's own address
            stage.shim.neighbors["10.99.0.2"] = {}
            stage.a.ns.ip("addr add 10.99.0.1/24 dev noise0")
        finally:
            os.kill(control, signal.SIGCONT)
        stage.shim.write_config()
        assert stage.shim.reload()["applied"]
        wait_until(lambda: stage.shim.neighbor("10.99.0.2").get("local_address") == "10.99.0.1", 15, "the address is seen")
        wait_until(lambda: stage.shim.steering()["agrees"], 15, "steering agrees")
        stage.a.ns.ip("link del noise0")
        wait_until(lambda: not stage.shim.neighbor("10.99.0.2").get("local_address"), 40, "that it has gone, too")
        del stage.shim.neighbors["10.99.0.2"]
        stage.shim.write_config()
        stage.shim.reload()


def test_interfaces_come_and_go(stage, module_lab):
    """By the dozen, with the bad ones' own link among them."""
    address = stage.address()
    with Undisturbed(stage, kilobytes=20000):
        for i in range(12):
            stage.a.ns.ip(*(f"link add come{n} type veth peer name peer{n}" for n in range(10)),
                          *(f"link set come{n} up" for n in range(10)),
                          *(f"addr add 10.80.{n}.1/24 dev come{n}" for n in range(10)),
                          f"addr add 2001:db8:80:{i}::1/64 dev come0 nodad",
                          "link set eth1 down", "link set eth1 up",
                          *(f"link del come{n}" for n in range(10)))
        wait_until(lambda: stage.shim.steering()["agrees"], 20, "steering agrees")
        assert wait_until(lambda: greet(stage, address), 20, "a session over the link that flapped")


# --- files

def test_a_certificate_half_written(stage, module_lab, pki):
    """Refused with the file's name, by reload and by SIGHUP; sessions and the next handshakes have the old one."""
    folder = stage.a.folder
    own = {name: folder / f"half.{name}" for name in ("certificate", "key")}
    for name, path in own.items():
        shutil.copy(stage.shim.options[name], path)
        path.chmod(0o600)
        stage.shim.options[name] = path
    stage.shim.write_config()
    assert stage.shim.reload()["applied"]
    whole = {name: path.read_bytes() for name, path in own.items()}
    with Undisturbed(stage):
        for name, path in own.items():
            for size in (0, 1, 30, len(whole[name]) // 2, len(whole[name]) - 30):
                path.write_bytes(whole[name][:size])
                with pytest.raises(Refused) as refused:
                    stage.shim.reload()
                assert str(path) in refused.value.text, refused.value.text
                stage.shim.process.signal(signal.SIGHUP)
            assert greet(stage, stage.address())
            path.write_bytes(whole[name])
        assert stage.shim.reload()["applied"]


def test_a_broken_configuration(stage, module_lab):
    """Cut anywhere, by reload: refused with file and line, nothing has changed."""
    good = stage.shim.config()
    generation = stage.shim.show()["generation"]
    with Undisturbed(stage):
        for cut in (10, len(good) // 3, len(good) // 2, len(good) - 3):
            stage.shim.config_path.write_text(good[:cut] + ' = { "')
            with pytest.raises(Refused) as refused:
                stage.shim.reload()
            assert all(e["where"].startswith(f"{stage.shim.config_path}:") for e in refused.value.answer["errors"])
        assert stage.shim.show()["generation"] == generation
        stage.shim.write_config()
        assert stage.shim.reload()["applied"]
