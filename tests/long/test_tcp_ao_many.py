# SPDX-License-Identifier: Apache-2.0
"""A thousand neighbors with TCP-AO on one port, between two botlsd, and what each takes beside one without.

Needs a kernel with TCP-AO: tests/vm/run --limit 3000 -- scripts/run-tests --build build --long tests/long/test_tcp_ao_many.py (build/bench/load
must be there). An emulated processor with others beside it makes 2 to 3 sessions a second: a quarter of an hour.
"""

import itertools
import os
import pathlib
import re
import resource
import sys

import pytest

from harness.botlsd import BUILD, TLS_PORT
from harness.wait import wait_until
from test_tcp_ao import EXPORTER, needs_ao

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "bench"))
COUNT = int(os.environ.get("BOTLS_MANY") or 1000)
PART = 50  # the load has two minutes for each
AT_ONCE = 16
BURST = 4096
GENEROUS = 1800  # an emulated processor makes a few handshakes a second
needs_bench = pytest.mark.skipif(not (BUILD / "bench/load").exists(), reason="bench/load is not built (make bench)")


def slab():
    """Bytes of the kernel's, of all kinds."""
    return int(re.search(r"^Slab:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1]) * 1024


def option_memory(router):
    """Of the sockets that listen on the TLS port: what ss -m calls o."""
    text = router.ns.run("ss", "-Hltnm", f"sport = :{TLS_PORT}").stdout
    return [int(n) for n in re.findall(r"\bo(\d+)", text)]


def sessions(daemon):
    """Of all neighbors: (sessions that are up, those of them with a derived key, segments that were refused)."""
    up = derived = refused = 0
    for session in itertools.chain.from_iterable(n["sessions"] for n in daemon.show()["neighbors"]):
        ao = session.get("tcp_ao", {})
        up += session["state"] == "up"
        derived += bool(ao.get("derived"))
        refused += sum(ao.get(name, 0) for name in ("bad", "key_not_found", "required"))
    return up, derived, refused


def measure(made, options, count):
    import proxies
    from rig import Rig

    class Neighbors(proxies.Botls):
        def start(self):
            kind = proxies.Botlsd
            proxies.Botlsd = lambda router, neighbors, identity, **how: kind(
                router, {name: {**own, **options, "handshake-timeout": 120} for name, own in neighbors.items()}, identity,
                **how)
            try:
                super().start()
            finally:
                proxies.Botlsd = kind

    rig = Rig(made, count, BURST)
    pair = Neighbors(rig)
    try:
        pair.start()
        rig.start_load(pair.entry)
        before = {"slab": slab(), "uss": proxies.memory(pair.pids("b"))["uss"]}
        for first in range(0, count, PART):
            answer = rig.ask("open", min(PART, count - first), AT_ONCE)
            assert answer["up"] == answer["asked"], answer
            print(f"{answer['up']} up, the last ones in {answer['seconds']:.1f} s", flush=True)
        # A key is taken into use by what is sent.
        answer = rig.ask("beat", 10000, 1000)
        assert not answer["lost"], answer
        if options:
            for daemon in pair.daemons:
                wait_until(lambda: sessions(daemon)[:2] == (count, count), GENEROUS, "all have a derived key", 5)
            assert sessions(pair.daemons[0])[2] == sessions(pair.daemons[1])[2] == 0
        return {"kernel's slab per session, both ends (kB)": (slab() - before["slab"]) / count / 1e3,
                "botlsd's own per session, accepting (kB)": (proxies.memory(pair.pids("b"))["uss"] - before["uss"]) / count / 1e3,
                "listeners' option memory (bytes)": option_memory(rig.routers["b"])}
    finally:
        pair.stop()
        rig.close()


@needs_ao
@needs_bench
def test_a_thousand(pki, tmp_path):
    from rig import identities

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made = identities(pki, tmp_path)
    few = COUNT // 5  # to compare
    figures = [measure(made, {}, few), measure(made, EXPORTER, COUNT)]
    print(f"\n{few} neighbors without TCP-AO, {COUNT} with tcp-ao = exporter")
    for name in figures[0]:
        print(f"  {name}: {', '.join(str(f[name]) for f in figures)}")
    # One key for each family and nothing for each neighbor; 200 bytes each would be 200 kB.
    assert sum(figures[1]["listeners' option memory (bytes)"]) < 4096
