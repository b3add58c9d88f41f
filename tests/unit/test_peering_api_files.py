# SPDX-License-Identifier: Apache-2.0
"""tests/peering_api: the corrected OpenAPI files are in order, and what was corrected would be found."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from peering_api import openapi  # noqa: E402
from peering_api.openapi import Document, Malformed  # noqa: E402

IX = "pdb:ix:31"
FILES = {"autopeer-2023-10": {"GET /auth", "GET /list_locations", "POST /add_sessions", "GET /get_status"}}
FILES["autopeer-2024-03"] = FILES["autopeer-2024-02-pr21"] = {
    "GET /auth", "GET /locations", "POST /sessions", "GET /sessions", "DELETE /sessions", "GET /sessions/{session_id}",
    "DELETE /sessions/{session_id}"}
COLUMN = {"autopeer-2023-10": 0, "autopeer-2024-02-pr21": 1, "autopeer-2024-03": 2}  # of the table of corrections


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_in_order(name):
    document = Document(openapi.FOLDER / f"{name}.yaml")
    assert {f"{m} {t}" for m, t in document.operations} == FILES[name]
    # every correction is one of the list, and marked
    text = document.path.read_text()
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    readme = (openapi.FOLDER / "README.md").read_text()
    rows = [line.split("|")[2:5] for line in readme.splitlines() if line.startswith("| ") and line[2].isdigit()]
    marked = [number for number, row in enumerate(rows, 1) if row[COLUMN[name]].strip()]
    assert marked == [n for n in range(1, 8) if f"CORRECTED ({n})" in text]


@pytest.mark.parametrize("name, new, old, complaint", [
    ("autopeer-2024-03", "components/schemas/ListLocationsResponse", "components/responses/ListLocationsResponse",
     "does not point to one of components.schemas"),
    ("autopeer-2024-03", "  responses:\n    ErrorResponse:", "  requests:\n    ErrorResponse:", "requests is not a keyword"),
    ("autopeer-2023-10", "        - errors\n    FieldError", "        - field_errors\n    FieldError", "field_errors is required"),
    ("autopeer-2023-10", "                    - name: peer_asn\n                      errors:",
     "                    - name: peer_asn\n                      messages:", "example error-example"),
    ("autopeer-2024-03", "parameters: parameters:\n      parameters:\n", "\n      parameters:\n        parameters:\n",
     "parameters must be a list"),
    ("autopeer-2024-03", "      items:\n        $ref: '#/components/schemas/SessionReference'", "      sessions:\n"
     "        $ref: '#/components/schemas/SessionReference'", "sessions is not a keyword of a schema"),
    ("autopeer-2024-03", "            default: 0", "            default: 101", "the default does not satisfy"),
    ("autopeer-2024-03", "  /locations:", "  /auth:", "is there twice"),
    ("autopeer-2024-03", "'#/components/schemas/SessionArray'", "'#/components/schemas/Sessions'", "there is no"),
    ("autopeer-2024-03", "  /sessions/{session_id}:", "  /sessions/{session}:", "path's names"),
])
def test_what_was_corrected_would_be_found(tmp_path, name, new, old, complaint):
    text = (openapi.FOLDER / f"{name}.yaml").read_text()
    assert new in text
    (tmp_path / "x.yaml").write_text(text.replace(new, old))
    with pytest.raises(Malformed, match=complaint):
        Document(tmp_path / "x.yaml")


@pytest.mark.parametrize("value, code", [
    ([{"local_asn": True}], "type"), ([{"local_asn": 1.0}], "type"), ([{"local_asn": "1"}], "type"), ([{"local_ip": None}], "type"),
    ({"local_asn": 1}, "type"), ([{"local_as": 1}], "unknown-property"), ([{"location": {"type": "Public"}}], "enum"), ([], None),
    ([{"local_asn": 64500, "location": {"id": IX, "type": "public"}}], None)])
def test_check(value, code):
    document = Document(openapi.FOLDER / "autopeer-2024-03.yaml")
    assert [p.code for p in document.check(value, {"$ref": "#/components/schemas/SessionArray"})] == ([code] if code else [])
