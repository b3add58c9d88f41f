# SPDX-License-Identifier: Apache-2.0
"""Floods that take longer than a test run should: 10,000 half-open connections, and each single allocation.

A good session runs beside them; docs/bad-input.md has the list.
"""

import contextlib
import resource
import socket
import struct
import time

import pytest

from cryptography.exceptions import InvalidTag

from harness import rawtls as t
from harness.badstage import OURS, BadStage, Undisturbed
from harness.botlsd import TLS_PORT
from harness.faults import Faults
from harness.sanitizer import SANITIZED
from harness.wait import wait_until

COUNT = 10000
KILOBYTES = 64 << 10


@pytest.fixture(scope="module")
def stage(module_lab, pki):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    faults = None if SANITIZED else Faults(module_lab.folder / "faults")
    made = BadStage(module_lab, pki, 40, {"handshake-timeout": 2}, env=faults and faults.env)
    made.faults = faults
    # a prefix: as many sessions at once as botlsd lets one have
    made.shim.neighbors["10.0.128.0/17"] = {"handshake-timeout": 2, "max-sessions": 1000}
    made.shim.write_config()
    assert made.shim.reload()["applied"]
    made.c.ns.ip(*(f"addr add 10.0.{128 + i // 200}.{1 + i % 200}/16 dev eth0" for i in range(400)))
    yield made
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def greet(stage, address):
    client = stage.client(address)
    with client.sock:
        client.handshake().read()
    return True


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source, port):
    def header(check):
        return struct.pack("!HHIIBBHHH", port, TLS_PORT, port * 7919, 0, 5 << 4, 2, 64000, check, 0)

    pseudo = socket.inet_aton(source) + socket.inet_aton(OURS) + struct.pack("!HH", socket.IPPROTO_TCP, 20)
    return (struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, port, 0, 64, socket.IPPROTO_TCP, 0, socket.inet_aton(source),
                        socket.inet_aton(OURS)) + header(checksum(pseudo + header(0))))


def test_half_open_for_tcp(stage, module_lab):
    """SYNs from addresses where nobody is: the kernel's queue and its cookies, and a neighbor still gets in."""
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for i in range(COUNT):
                raw.sendto(syn(f"10.0.{100 + i % 20}.{i // 20 % 250 + 1}", 1024 + i), (OURS, 0))

    with Undisturbed(stage) as cost:
        stage.c.ns.call(send)
        cost.look()
        assert greet(stage, stage.address()), "a neighbor gets in meanwhile"
        stage.good_flows()


def test_half_open_for_tls(stage, module_lab):
    """Connected, and silent: no more than handshakes-max at a time, the rest waits outside."""
    sockets = []

    def connect():
        for i in range(COUNT):
            s = socket.socket()
            s.setblocking(False)
            sockets.append(s)
            s.bind((f"10.0.{128 + i % 400 // 200}.{1 + i % 200}", 0))
            with contextlib.suppress(BlockingIOError):
                s.connect((OURS, TLS_PORT))

    with Undisturbed(stage, kilobytes=KILOBYTES, seconds=120) as cost:
        stage.c.ns.call(connect)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            cost.look()
            assert stage.shim.show()["workers"][0]["handshakes"] <= 256
            stage.good_flows()
        for s in sockets:
            s.close()
        address = stage.address()
        wait_until(lambda: greet(stage, address), 90, "a neighbor gets in when it is over")
    print(f"peak {cost.peak - cost.memory} kB above before")


@pytest.mark.parametrize("who", ["a neighbor", "strangers"])
def test_connect_flood(stage, module_lab, who):
    """As fast as one process can, for twenty seconds."""
    source = stage.address() if who == "a neighbor" else "10.0.77.7"
    if who == "strangers":
        stage.c.ns.ip(f"addr add {source}/16 dev eth0")

    def flood():
        count, end = 0, time.monotonic() + 20
        while time.monotonic() < end:
            for _ in range(100):
                with socket.socket() as s:
                    s.settimeout(5)
                    s.bind((source, 0))
                    with contextlib.suppress(OSError):
                        s.connect((OURS, TLS_PORT))
                        s.send(b"\x16\x03\x01\x00")
                count += 1
        return count

    lines = len(stage.shim.log().splitlines())
    with Undisturbed(stage, kilobytes=KILOBYTES, seconds=120):
        count = stage.c.ns.call(flood)
        address = stage.address()
        wait_until(lambda: greet(stage, address), 60, "a neighbor gets in")
    assert len(stage.shim.log().splitlines()) - lines < 500, f"the log of {count} connections is as long as they are many"
    print(f"{count} connections")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own malloc() comes first")
def test_every_allocation_of_a_session(stage, module_lab):
    """tests/netns/test_bad_machine.py with each of them, not a sample."""
    address = stage.address()

    def try_to():
        with contextlib.suppress(t.Alert, t.Closed, OSError, InvalidTag):
            return greet(stage, address)
        return False

    assert try_to()
    worker, pids = stage.shim.worker_pids()[0], stage.pids()
    count = stage.faults.count_of(worker, try_to)
    lost = 0
    for at in range(1, count + 1):
        stage.faults.fail(worker, at)
        lost += not try_to()
        stage.faults.stop()
    assert stage.pids() == pids, "a process has died"
    assert lost > count // 4
    stage.wait_good()
    stage.good_flows()
    print(f"{lost} of {count} allocations ended the session that they were for")
