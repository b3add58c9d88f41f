# SPDX-License-Identifier: Apache-2.0
"""Bodies that are not the JSON they should be. They spoil the regular answer; its status stays."""

import json

from . import misbehaviour
from ..httpd import NOTHING


def spoiled(name, text, **defaults):
    return misbehaviour("body", name, text, **defaults)


def _text(scene):
    return scene.answer().body.decode("utf-8", "replace")


def _members(scene, more):
    """The regular object with more text at its front; an object around it when it is none."""
    text = _text(scene).lstrip()
    rest = text[1:].lstrip() if text.startswith("{") else f'"value": {text or "null"}' + "}"
    return "{" + more + (", " if rest != "}" else "") + rest


@spoiled("json-truncated", "the JSON ends in its middle, with the right Content-Length")
def json_truncated(scene):
    body = scene.answer().body
    return scene.replace_text(body[:max(1, len(body) // 2)])


@spoiled("json-deep", "arrays `depth` deep", depth=100000)
def json_deep(scene):
    return scene.replace_text("[" * scene.args["depth"] + "]" * scene.args["depth"])


@spoiled("json-deep-member", "the regular object with a member that is `depth` deep", depth=100000)
def json_deep_member(scene):
    return scene.replace_text(_members(scene, '"x": ' + '{"a":' * scene.args["depth"] + "1" + "}" * scene.args["depth"]))


@spoiled("json-duplicate-keys", "every key of every object twice, first with the value null")
def json_duplicate_keys(scene):
    def encode(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(k)}: null, {json.dumps(k)}: {encode(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(encode, value)) + "]"
        return json.dumps(value)
    value = scene.value()
    return scene.replace_text(encode(value)) if value else scene.nothing_to_spoil()


@spoiled("json-invalid-utf8", "bytes that are not UTF-8, in a string")
def json_invalid_utf8(scene):
    return scene.replace_text(_members(scene, '"x": "@"').encode().replace(b'"@"', b'"\xc3\x28\xff"', 1))


@spoiled("json-latin1", "a string in ISO 8859-1")
def json_latin1(scene):
    return scene.replace_text(_members(scene, '"x": "Z\u00fcrich"').encode("latin-1", "replace"))


@spoiled("json-nul", "an escaped NUL in a string")
def json_nul(scene):
    return scene.replace_text(_members(scene, '"x": "a\\u0000b"'))


@spoiled("json-nul-key", "an escaped NUL in a key")
def json_nul_key(scene):
    return scene.replace_text(_members(scene, '"sessions\\u0000x": []'))


@spoiled("json-raw-nul", "a NUL byte behind the JSON")
def json_raw_nul(scene):
    return scene.replace_text(scene.answer().body + b"\0")


@spoiled("json-raw-control", "control characters in a string that are not escaped")
def json_raw_control(scene):
    return scene.replace_text(_members(scene, '"x": "a\n\x1b[31mb"'))


@spoiled("json-lone-surrogate", "half of a surrogate pair")
def json_lone_surrogate(scene):
    return scene.replace_text(_members(scene, '"x": "\\ud800"'))


@spoiled("json-trailing", "a second JSON value behind the first")
def json_trailing(scene):
    return scene.replace_text(scene.answer().body + b' {"sessions": []}')


@spoiled("json-bom", "a byte order mark before the JSON")
def json_bom(scene):
    return scene.replace_text(b"\xef\xbb\xbf" + scene.answer().body)


@spoiled("json-utf16", "the JSON in UTF-16")
def json_utf16(scene):
    return scene.replace_text(_text(scene).encode("utf-16"))


@spoiled("json-comment", "a comment in the JSON")
def json_comment(scene):
    return scene.replace_text("/* hello */ " + _text(scene))


@spoiled("json-nan", "NaN and Infinity, which are not JSON")
def json_nan(scene):
    return scene.replace_text(_members(scene, '"x": NaN, "y": -Infinity'))


@spoiled("json-big-number", "numbers beyond 64 bits and beyond a double")
def json_big_number(scene):
    return scene.replace_text(_members(scene, '"x": 99999999999999999999999, "y": 1e999'))


@spoiled("json-wide", "an array of `items` numbers as one member", items=1000000)
def json_wide(scene):
    return scene.replace_text(_members(scene, '"x": [' + "0," * (scene.args["items"] - 1) + "0]"))


@spoiled("json-long-string", "a string of `bytes`", bytes=1 << 20)
def json_long_string(scene):
    return scene.replace_text(_members(scene, '"x": "' + "a" * scene.args["bytes"] + '"'))


@spoiled("json-many-keys", "an object of `keys` members", keys=100000)
def json_many_keys(scene):
    return scene.replace_text(_members(scene, ", ".join(f'"k{i}": {i}' for i in range(scene.args["keys"]))))


def _typed(scene, kind, body=None):
    answer = scene.answer() if body is None else scene.replace_text(body)
    answer.headers = [h for h in answer.headers if h[0] != "Content-Type"] + ([("Content-Type", kind)] if kind else [])
    return answer


@spoiled("html", "HTML instead of JSON, as from a login page, with 200")
def html(scene):
    return _typed(scene, "text/html", "<!DOCTYPE html><html><body><form>Log in</form></body></html>")


@spoiled("html-as-json", "HTML that says it is JSON")
def html_as_json(scene):
    return scene.replace_text("<!DOCTYPE html><html></html>")


@spoiled("wrong-content-type", "the regular JSON as text/html")
def wrong_content_type(scene):
    return _typed(scene, "text/html")


@spoiled("json-subtype", "the regular JSON as application/vnd.peering+json; charset=utf-8, which is allowed")
def json_subtype(scene):
    return _typed(scene, "application/vnd.peering+json; charset=utf-8")


@spoiled("no-content-type", "the regular JSON without Content-Type")
def no_content_type(scene):
    return _typed(scene, None)


@spoiled("empty-body", "no body at all")
def empty_body(scene):
    return scene.replace_text(b"")


@spoiled("whitespace-body", "a body of white space")
def whitespace_body(scene):
    return scene.replace_text(b" \r\n\t ")


def _replaced(name, text, value):
    @spoiled(name, text)
    def answer(scene):
        return scene.replace(value)


_replaced("empty-list", "[] instead of the value", [])
_replaced("empty-object", "{} instead of the value", {})
_replaced("null", "null instead of the value", None)
_replaced("number", "a number instead of the value", 42)
_replaced("string", "a string instead of the value", "ok")


@spoiled("object-for-list", "an object where a list should be, at every list")
def object_for_list(scene):
    return _lists(scene, lambda v: {str(i): x for i, x in enumerate(v)})


@spoiled("null-list", "null where a list should be")
def null_list(scene):
    return _lists(scene, lambda v: None)


@spoiled("string-list", "a list of strings where a list of objects should be")
def string_list(scene):
    return _lists(scene, lambda v: ["pdb:ix:31"] * max(1, len(v)))


@spoiled("null-items", "a list with a null in it")
def null_items(scene):
    return _lists(scene, lambda v: [None, *v])


def _lists(scene, change):
    """Every list that is the value or a member of it."""
    value = scene.value()
    if isinstance(value, list):
        return scene.replace(change(value))
    if isinstance(value, dict) and any(isinstance(v, list) for v in value.values()):
        return scene.replace({n: change(v) if isinstance(v, list) else v for n, v in value.items()})
    return scene.nothing_to_spoil()


@spoiled("list-for-object", "a list with the object in it where the object should be")
def list_for_object(scene):
    value = scene.answer().value
    return scene.nothing_to_spoil() if value is NOTHING else scene.replace([value])
