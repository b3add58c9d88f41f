# SPDX-License-Identifier: Apache-2.0
"""tests/netns/harness/ao.py, which judges TCP-AO on the wire: the test vectors of RFC 9235."""

import pathlib
import sys

import pytest

NETNS = pathlib.Path(__file__).parent.parent / "netns"
sys.path.insert(0, str(NETNS))

from harness.ao import ALGORITHMS, Packet, Verifier  # noqa: E402

MASTER = b"testvector"
CLIENT, SERVER = 0x3d, 0x54  # KeyIDs
# Section: initial sequence numbers of client and server, traffic keys of the SYN, the server, the client
KEYS = {
    "4.1": (0xfbfbab5a, 0x11c14261, "6d63ef1b02fe1509d4b1402707fd7b0416abb74f",
            "d9e217e4834a80ca2f3fd8de2e41b8e6797fea96", "d2e59c65ffc7b1a39347656463b70edc24a13d71"),
    "4.2": (0xcb0efbee, 0xacd5b5e1, "30eaa1560cf0be57dab5c045229fb10a423cd7ea",
            "b5b2896bb3664e8176b0edc6e799524101a8307f", "f3db1793d7910ecd806c34f155ea1f00345953e3"),
    "5.1": (0x787a1ddf, 0xfadd6de9, "f5b8b3d5f34fdbb6eb8d4ab9660e60e3", "4bc7571a486f3264bbd888474066b4b1",
            "8c8ae0e8371ec5cbb97ea79d90418391"),
    "5.2": (0x389bed71, 0xd3844a6f, "2cdbae1392c49449fa92c4509735d50e", "3ce67a551869506b6347b633c50a624a",
            "035bc400a341ffe595f59f58005006ca"),
    "6.1": (0x176a833f, 0x3f51994b, "625ec09d575836edc9b6428418bbf06989a361bb",
            "e4a37ada2a0afca8711434913fe138c771ebcb4a", "1ed82975f4ea444c61580c5bd90dbd61bbc91b7e"),
    "6.2": (0x020c1e69, 0xeba3734d, "31a3faf69effae52931b7f845467315c270a4edc",
            "405108947f996575e7bdbc26d40216a2c7fa91bd", "b34eed6a9396a669f1c4f4f57618f3656f52c7ab"),
    "7.1": (0x193cccec, 0xa6744ecb, "fa5a2108882d39d0c71929175ab1b7b8", "cf1b1e225e06a63616764a067b46f4b1",
            "6174c3557abed27574dba37185f00300"),
}


def vectors():
    found = []
    for line in (NETNS / "harness/rfc9235.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("\t"):
            found[-1][-1].append(bytes.fromhex(line))
        else:
            section, name, what = line.split()
            found.append((section, name, what == "covered", []))
    return found


VECTORS = vectors()
each = pytest.mark.parametrize("section, name, covered, packets", VECTORS, ids=[v[0] for v in VECTORS])


def verifier(name, covered, master=MASTER):
    return Verifier((CLIENT, master, name, covered), (SERVER, master, name, covered))


def test_all_are_there():
    assert [v[0] for v in VECTORS] == list(KEYS)
    assert sum(len(v[3]) for v in VECTORS) == 27


@each
def test_traffic_keys(section, name, covered, packets):
    client, server, syn, theirs, ours = KEYS[section]
    key = ALGORITHMS[name].traffic_key
    first, second = Packet(packets[0]), Packet(packets[1])
    assert key(MASTER, first.context(client, 0)).hex() == syn
    assert key(MASTER, second.context(server, client)).hex() == theirs
    assert key(MASTER, first.context(client, server)).hex() == ours


@each
def test_segments(section, name, covered, packets):
    v = verifier(name, covered)
    assert [v.judge(p) for p in packets] == [True] * len(packets)


@each
def test_what_is_not_right(section, name, covered, packets):
    assert not any(verifier(name, covered, b"testvectoR").judge(p) for p in packets)
    assert not any(verifier(name, not covered).judge(p) for p in packets[:1])
    v = verifier(name, covered)
    v.judge(packets[0]), v.judge(packets[1])
    for at in (len(packets[2]) - 1, len(packets[2]) - 80):  # data, MAC or header
        assert v.judge(packets[2][:at] + bytes([packets[2][at] ^ 1]) + packets[2][at + 1:]) is False


def test_a_connection_that_began_earlier():
    section, name, covered, packets = VECTORS[0]
    assert verifier(name, covered).judge(packets[2]) is None
