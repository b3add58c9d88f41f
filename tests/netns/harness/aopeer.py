# SPDX-License-Identifier: Apache-2.0
"""TCP sockets with TCP-AO keys and TLS of our own: a neighbor that is no botlsd."""

import ipaddress
import socket
import ssl
import struct

from .ao import DEFAULT_KEY

ADD_KEY, DELETE_KEY, INFO, GET_KEYS = 38, 39, 40, 41
EXCLUDE_OPTIONS = 2
KERNEL_NAMES = {"aes-128-cmac-96": b"cmac(aes128)", "hmac-sha1-96": b"hmac(sha1)", "hmac-sha256-96": b"hmac(sha256)"}


def _sockaddr(address):
    if address.version == 4:
        data = struct.pack("=H2x4s", socket.AF_INET, address.packed)
    else:
        data = struct.pack("=H6x16s", socket.AF_INET6, address.packed)
    return data.ljust(128, b"\0")


def add_key(sock, peer, secret=DEFAULT_KEY, key_id=0, algorithm="aes-128-cmac-96", covers_options=False):
    """`peer`: an address, or a network in CIDR notation."""
    network = ipaddress.ip_network(peer)
    sock.setsockopt(socket.IPPROTO_TCP, ADD_KEY, _sockaddr(network.network_address) + struct.pack(
        "=64siIHBBBBBB80s", KERNEL_NAMES[algorithm], 0, 0, 0, network.prefixlen, key_id, key_id, 0,
        0 if covers_options else EXCLUDE_OPTIONS, len(secret), secret))


def ask_for(sock, key_id):
    """RNextKeyID from now on."""
    sock.setsockopt(socket.IPPROTO_TCP, INFO, struct.pack("=IHBB40x", 2, 0, 0, key_id))


def in_use(sock):
    """(SendID, RecvID asked for), or None without TCP-AO."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, INFO, 48)
    except OSError:
        return None
    return info[6], info[7]


def connect(ns, own, peer, port, timeout=5, **key):
    """A connection from `own` with the default key, or that of the keywords; None: without any. OSError when there is none."""
    def make():
        s = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET)
        s.settimeout(timeout)
        try:
            s.bind((own, 0))
            if key.get("secret", b"") is not None:
                add_key(s, peer, **key)
            s.connect((peer, port))
        except BaseException:
            s.close()
            raise
        return s

    return ns.call(make)


def connects(*args, **how):
    try:
        connect(*args, **how).close()
    except TimeoutError:
        return False
    return True


def handshake(sock, identity, maximum=ssl.TLSVersion.TLSv1_3, server=False):
    """Our TLS on the connection, as the client; the other side's certificate is not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    context.set_alpn_protocols(["botls"])
    context.load_cert_chain(identity.certificate, identity.key)
    return context.wrap_socket(sock, server_side=server)
