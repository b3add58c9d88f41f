# SPDX-License-Identifier: Apache-2.0
"""Lists whose pages do not end, repeat, or hold back. They spoil lists of sessions and of locations (era B)."""

import itertools

from . import misbehaviour
from ..wire import spell

_numbers = itertools.count(1)


def paged(name, text, **defaults):
    return misbehaviour("paging", name, text, **defaults)


def _list_name(value):
    if not isinstance(value, dict):
        return None
    return next((n for n in ("sessions", "locations", "data") if isinstance(value.get(n), list)), None)


def _with_token(scene, token, change=lambda items: items):
    value, name = scene.value(), _list_name(scene.value())
    if name is None:
        return scene.nothing_to_spoil()
    value[name] = change(value[name])
    value[spell(scene.server.settings.profile, "next_token")] = token
    return scene.replace(value)


def first_page(scene):
    """The regular answer to the same question, without the token that the real list would not know."""
    scene.request.query = [(n, v) for n, v in scene.request.query if n != "next_token"]
    return scene.answer()


@paged("next-token-repeats", "every page has the same items and the same next_token; use count=null")
def next_token_repeats(scene):
    first_page(scene)
    return _with_token(scene, "again")


@paged("next-token-cycle", "next_token goes a, b, c, a, b, c; use count=null", length=3)
def next_token_cycle(scene):
    current = scene.request.parameter("next_token", "")
    step = int(current.removeprefix("cycle-")) if current.startswith("cycle-") else 0
    first_page(scene)
    return _with_token(scene, f"cycle-{(step + 1) % scene.args['length']}")


@paged("pages-endless", "every page is new, with a new next_token, and its sessions have new ids; use count=null")
def pages_endless(scene):
    profile = scene.server.settings.profile
    first_page(scene)

    def renew(items):
        for item in items:
            if isinstance(item, dict) and profile.session_id in item:
                item[profile.session_id] = f"endless-{next(_numbers)}"
        return items
    return _with_token(scene, f"page-{next(_numbers)}", renew)


@paged("page-duplicates", "each item is in the page twice")
def page_duplicates(scene):
    value, name = scene.value(), _list_name(scene.value())
    if isinstance(value, list):
        return scene.replace(value + value)
    if name is None:
        return scene.nothing_to_spoil()
    value[name] = value[name] + value[name]
    return scene.replace(value)


@paged("pages-empty", "empty pages with a next_token each; use count=null")
def pages_empty(scene):
    first_page(scene)
    return _with_token(scene, f"empty-{next(_numbers)}", lambda items: [])


@paged("next-token-number", "next_token is a number")
def next_token_number(scene):
    return _with_token(scene, 12345)


@paged("next-token-null", "next_token is null, which can only mean the last page")
def next_token_null(scene):
    return _with_token(scene, None)


@paged("next-token-empty", "next_token is an empty string")
def next_token_empty(scene):
    return _with_token(scene, "")


@paged("next-token-long", "next_token is `bytes` long", bytes=200000)
def next_token_long(scene):
    return _with_token(scene, "t" * scene.args["bytes"])


@paged("next-token-nasty", "next_token has characters that a URL must encode; sent back rightly, it gives the last page")
def next_token_nasty(scene):
    if scene.request.parameter("next_token") == NASTY:
        first_page(scene)
        return scene.answer()
    return _with_token(scene, NASTY)


NASTY = "a&asn=1#?/../%2e%00 +=\r\nX-Injected: 1\u00fc\""


@paged("next-token-stale", "next_token is one that the server then calls invalid with 400")
def next_token_stale(scene):
    return _with_token(scene, "stale")


@paged("list-cut", "only the first half of the list, and no next_token: what is missing is not gone")
def list_cut(scene):
    value, name = scene.value(), _list_name(scene.value())
    if isinstance(value, list):
        return scene.replace(value[:len(value) // 2])
    if name is None:
        return scene.nothing_to_spoil()
    value[name] = value[name][:len(value[name]) // 2]
    value.pop(spell(scene.server.settings.profile, "next_token"), None)
    return scene.replace(value)


@paged("list-gone", "an empty list in the right shape: all sessions seem gone")
def list_gone(scene):
    value, name = scene.value(), _list_name(scene.value())
    if isinstance(value, list):
        return scene.replace([])
    if name is None:
        return scene.nothing_to_spoil()
    return scene.replace({name: []})
