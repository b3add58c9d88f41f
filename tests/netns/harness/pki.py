# SPDX-License-Identifier: Apache-2.0
"""Certificates for the tests, made with the openssl program; each is made once per run."""

import base64
import dataclasses
import datetime
import hashlib
import itertools
import pathlib
import subprocess
import typing

CONFIG = """
[ca]
default_ca = it
[it]
database = {f}/index
serial = {f}/serial
crlnumber = {f}/crlnumber
new_certs_dir = {f}/certs
certificate = {f}/ca.pem
private_key = {f}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
"""
EXTENSIONS = """
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = {eku}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(*words):
    result = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    assert result.returncode == 0, f"openssl {words}: {result.stderr}"
    return result.stdout


def _when(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y%m%d%H%M%SZ")


@dataclasses.dataclass(frozen=True)
class Identity:
    """A certificate with its key, and what it trusts."""

    certificate: pathlib.Path
    key: pathlib.Path
    ca: typing.Optional[pathlib.Path]

    def options(self):
        """As options of botlsd.conf."""
        options = {"certificate": self.certificate, "key": self.key}
        if self.ca:
            options["ca"] = self.ca
        return options

    def pin(self):
        public = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"],
                                capture_output=True, check=True).stdout
        return "sha256/" + base64.b64encode(hashlib.sha256(public).digest()).decode()


class Authority:
    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.certificate = self.folder / "ca.pem"
        self._made = {}
        self._numbers = itertools.count(1)
        (self.folder / "certs").mkdir()
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("01\n")
        (self.folder / "ca.cnf").write_text(CONFIG.format(f=self.folder))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.folder / "ca.key", "-out", self.certificate, "-days", 30,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, start=-1, end=30, eku="clientAuth,serverAuth", fresh=False):
        """An Identity whose SANs are `names` ("192.0.2.1", "r1.example"); days relative to now."""
        wanted = (names, start, end, eku)
        if wanted not in self._made or fresh:
            self._made[wanted] = self._issue(names, start, end, eku)
        return self._made[wanted]

    def _issue(self, names, start, end, eku):
        stem = self.folder / f"{next(self._numbers)}"
        key, request, certificate = (stem.with_suffix(s) for s in (".key", ".csr", ".pem"))
        subject = names[0] if names else "nobody"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", request, "-subj", f"/CN={subject}")
        extensions = EXTENSIONS.format(eku=eku)
        if names:
            sans = ",".join(("IP:" if _is_address(n) else "DNS:") + n for n in names)
            extensions += f"subjectAltName = {sans}\n"
        stem.with_suffix(".ext").write_text(extensions)
        openssl("ca", "-batch", "-config", self.folder / "ca.cnf", "-in", request, "-out", certificate,
                "-notext", "-extfile", stem.with_suffix(".ext"), "-startdate", _when(start), "-enddate", _when(end))
        return Identity(certificate, key, self.certificate)

    def revoke(self, *identities):
        """A CRL that names these."""
        for identity in identities:
            openssl("ca", "-config", self.folder / "ca.cnf", "-revoke", identity.certificate)
        crl = self.folder / f"{next(self._numbers)}.crl"
        openssl("ca", "-config", self.folder / "ca.cnf", "-gencrl", "-crldays", 7, "-out", crl)
        return crl


def _is_address(name):
    return ":" in name or name.replace(".", "").isdigit()


class Pki:
    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder, "ca")
        self.stranger = Authority(folder, "stranger")

    def issue(self, *names, **how):
        return self.authority.issue(*names, **how)

    def router(self, router):
        """What the routers of Lab.pair() and the like need: all their addresses."""
        n = router.number
        return self.issue(f"192.0.2.{n}", f"2001:db8:0:2::{n}", f"fe80::{n}", f"r{n}.example")
