# SPDX-License-Identifier: Apache-2.0
"""Certificates and TLS contexts of a server, good ones and bad ones, made when they are first needed."""

import importlib.util
import pathlib
import ssl
import threading
import warnings

from .settings import Wrong

# the same way as the tests in namespaces; by its path, for those who run this package alone
_PKI = pathlib.Path(__file__).resolve().parents[1] / "netns" / "harness" / "pki.py"
_spec = importlib.util.spec_from_file_location("peering_api_pki", _PKI)
pki = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pki)

KINDS = ("good", "stranger", "wrong-name", "expired", "old")
VERSIONS = {"1.2": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), "1.3": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
            "1.2-1.3": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)}


class Certificates:
    def __init__(self, folder, settings, names):
        self.folder = pathlib.Path(folder)
        self.settings = settings
        self.names = list(dict.fromkeys(names))
        self._lock = threading.Lock()
        self._contexts = {}
        self._authorities = {}

    def _authority(self, name):
        if name not in self._authorities:
            if (self.folder / name).exists():
                raise Wrong(f"certificates: {self.folder} has some already: name another folder, or these as certificate and key")
            self._authorities[name] = pki.Authority(self.folder, name)
        return self._authorities[name]

    @property
    def ca(self):
        """What clients are to trust; "" when the certificate came from elsewhere."""
        return "" if self.settings.certificate else str(self._authority("ca").certificate)

    def _files(self, kind):
        if kind in ("good", "old") and self.settings.certificate:
            return self.settings.certificate, self.settings.key
        how = {"start": -20, "end": -10} if kind == "expired" else {}
        names = ["elsewhere.example"] if kind == "wrong-name" else self.names
        identity = self._authority("stranger" if kind == "stranger" else "ca").issue(*names, **how)
        return identity.certificate, identity.key

    def context(self, kind="good"):
        with self._lock:
            if kind not in self._contexts:
                self._contexts[kind] = self._make(kind)
            return self._contexts[kind]

    def _make(self, kind):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = VERSIONS[self.settings.tls_versions]
        if kind == "old":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(*self._files(kind))
        context.set_alpn_protocols(["http/1.1"])
        if self.settings.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.settings.client_ca)
        return context
