# SPDX-License-Identifier: Apache-2.0
"""A stand-in for PeeringDB: GET /api/OBJECT with filters, answered from a dict or a dump file."""

import json
import pathlib
import re

from .httpd import Answer
from .settings import Wrong

# The fields that may be filtered by; PeeringDB has more.
FIELDS = {
    "net": {"id", "org_id", "name", "asn", "irr_as_set", "info_prefixes4", "info_prefixes6", "policy_general", "status"},
    "netixlan": {"id", "net_id", "ix_id", "ixlan_id", "name", "asn", "ipaddr4", "ipaddr6", "is_rs_peer", "operational",
                 "speed", "status"},
    "ixlan": {"id", "ix_id", "name", "status"},
    "ixpfx": {"id", "ixlan_id", "protocol", "prefix", "status", "ix_id"},
    "ix": {"id", "org_id", "name", "country", "status"},
    "fac": {"id", "org_id", "name", "status"},
    "netfac": {"id", "net_id", "fac_id", "local_asn", "status"},
}
INTERNAL = {"depth", "limit", "skip", "since", "fields"}


def load(source):
    """{"net": [..], ..} from {"net": {"data": [..]}, ..}, {"net": [..], ..} or the path of such a JSON file."""
    if isinstance(source, str):
        try:
            source = json.loads(pathlib.Path(source).read_text(encoding="utf-8")) if source else {}
        except (OSError, ValueError) as e:
            raise Wrong(f"{source}: {e}") from e
    tables = {}
    for name, table in source.items():
        if name not in FIELDS:
            raise Wrong(f"peeringdb: there is no {name}; there are {', '.join(FIELDS)}")
        tables[name] = table["data"] if isinstance(table, dict) else table
    return tables


def _error(status, text):
    return Answer.json({"data": [], "meta": {"error": text}}, status)


class PeeringDb:
    def __init__(self, settings):
        self.settings = settings
        self.tables = load(settings.peeringdb)

    def __call__(self, request):
        match = re.fullmatch(r"/api/([a-z]+)(?:/([0-9]+))?/?", request.path)
        if not match or match[1] not in FIELDS:
            return _error(404, "Not Found")
        if request.method not in ("GET", "HEAD"):
            return _error(405, "Method Not Allowed")
        key = self.settings.peeringdb_key
        given = request.header("authorization")
        if given and key and given != f"Api-Key {key}":
            return _error(401, "Invalid API key")
        table = self.tables.get(match[1], [])
        if match[2]:
            found = [row for row in table if row.get("id") == int(match[2])]
            return Answer.json({"data": found, "meta": {}}) if found else _error(404, "Entity not found")
        try:
            return Answer.json({"data": self._select(match[1], table, request.query), "meta": {}})
        except ValueError as e:
            request.remarks.append(f"PeeringDB: {e}")
            return _error(400, str(e))

    @staticmethod
    def _select(name, table, query):
        options = {"skip": 0, "limit": 0}
        for parameter, text in query:
            if parameter in INTERNAL:
                if parameter in options:
                    options[parameter] = int(text)
                continue
            field, _, how = parameter.partition("__")
            if field not in FIELDS[name] or how not in ("", "in"):
                raise ValueError(f"cannot filter {name} by {parameter}")
            wanted = text.split(",") if how == "in" else [text]
            table = [row for row in table if _text(row.get(field)) in wanted]
        end = options["skip"] + options["limit"] if options["limit"] else None
        return table[options["skip"]:end]


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
