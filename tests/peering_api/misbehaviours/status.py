# SPDX-License-Identifier: Apache-2.0
"""Refusals and redirects. The request takes no effect unless it is injected with act=true."""

import datetime
import email.utils

from . import misbehaviour
from ..httpd import Answer

ANSI = "\x1b[2J\x1b[31mrouter#\x1b[0m\r\x07"
NESTED = {"errors": {"errors": [{"name": "peer_asn", "errors": ["asn not available at that location"]}]}}
MESSAGES = {"errors": [{"name": "peer_asn", "messages": ["asn not available at that location"]}]}
DRF = {"detail": "Authentication credentials were not provided."}
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
REDIRECTS = {300: "Multiple Choices with the regular body, as era A says \"modified\"", 301: "Moved Permanently", 302: "Found",
             303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect"}


def refusal(name, text, status, value, *headers, **defaults):
    """One that is always the same answer."""
    @misbehaviour("status", name, text, **defaults)
    def answer(scene):
        filled = [(n, v.format(**scene.args) if defaults else v) for n, v in headers]
        return Answer.json(value, status, filled)
    return answer


refusal("bad-request", "400, errors nested as the schema of OpenAPI says", 400, NESTED)
refusal("bad-request-messages", "400, errors as the example of OpenAPI says", 400, MESSAGES)
refusal("bad-request-drf", "400, {detail: ..} as Django REST Framework says", 400, DRF)
refusal("bad-request-fields", "400, {field: [text]} as Django REST Framework says", 400, {"asn": ["A valid integer is required."]})
refusal("bad-request-ansi", "400 with terminal control characters in its texts", 400,
        {"errors": {"errors": [{"name": f"peer_asn{ANSI}", "errors": [f"no{ANSI}", "line\nbreak"]}]}})
refusal("bad-request-long", "400 with a text of 100,000 characters and 1,000 errors", 400,
        {"errors": {"errors": [{"name": "x", "errors": ["e" * 100000]}] + [{"name": f"f{i}", "errors": ["e"]} for i in range(999)]}})
refusal("unauthorized", "401 invalid_token; with count=null always, with count=1 once", 401, NESTED,
        ("WWW-Authenticate", 'Bearer realm="peering-api", error="invalid_token"'))
refusal("unauthorized-bare", "401 without WWW-Authenticate", 401, DRF)
refusal("unauthorized-basic", "401 that asks for Basic", 401, DRF, ("WWW-Authenticate", 'Basic realm="admin"'))
refusal("forbidden", "403", 403, NESTED)
refusal("insufficient-scope", "403 insufficient_scope", 403, NESTED,
        ("WWW-Authenticate", 'Bearer realm="peering-api", error="insufficient_scope", scope="peering-api"'))
refusal("not-found", "404", 404, {"detail": "Not found."})
refusal("method-not-allowed", "405", 405, DRF, ("Allow", "GET"))
refusal("conflict", "409, the session exists", 409, NESTED)
refusal("conflict-overlapping", "409 as Peering Manager says, for a pending request", 409,
        {"detail": "Duplicate request: sessions with these IPs are already pending.", "overlapping_ips": ["192.0.2.1"]})
refusal("conflict-existing", "409 as Peering Manager says, for a configured session", 409,
        {"detail": "Sessions with these IPs are already configured in Peering Manager.", "existing_session_ips": ["192.0.2.1"]})
refusal("gone", "410", 410, {"detail": "Gone."})
refusal("legal-reasons", "451, which the draft's diagram mentions", 451, {"detail": "Unavailable For Legal Reasons"})
refusal("unprocessable", "422, please contact us", 422,
        {"errors": {"errors": [{"name": "request", "errors": ["Please contact us, human intervention required"]}]}})
refusal("too-many", "429 with Retry-After in seconds", 429, NESTED, ("Retry-After", "{seconds}"), seconds=2)
refusal("too-many-bare", "429 without Retry-After", 429, NESTED)
refusal("too-many-absurd", "429 with a Retry-After of 10^18 seconds", 429, NESTED, ("Retry-After", "1000000000000000000"))
refusal("too-many-negative", "429 with a negative Retry-After", 429, NESTED, ("Retry-After", "-5"))
refusal("too-many-garbage", "429 with a Retry-After that is neither number nor date", 429, NESTED, ("Retry-After", "soon"))
refusal("too-many-past", "429 with a Retry-After date in the past", 429, NESTED, ("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"))
refusal("server-error", "500 with an error object", 500, NESTED)
refusal("unavailable", "503 with Retry-After in seconds", 503, {"detail": "maintenance"}, ("Retry-After", "{seconds}"), seconds=2)
refusal("unavailable-bare", "503 without Retry-After", 503, {"detail": "maintenance"})
refusal("accepted", "202 with an empty object, as the draft's diagram mentions", 202, {})
refusal("ok-error", "200 with an error object", 200, NESTED)


@misbehaviour("status", "too-many-date", "429 with Retry-After as an HTTP date, `seconds` from now", seconds=2)
def too_many_date(scene):
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=scene.args["seconds"])
    return Answer.json(NESTED, 429, [("Retry-After", email.utils.format_datetime(then, usegmt=True))])


@misbehaviour("status", "bad-gateway-html", "502 with the HTML of a proxy")
def bad_gateway_html(scene):
    return Answer(502, [("Content-Type", "text/html")], HTML)


@misbehaviour("status", "server-error-empty", "500 without a body")
def server_error_empty(scene):
    return Answer(500)


@misbehaviour("status", "server-error-trace", "500 with a stack trace that repeats the request's Authorization header")
def server_error_trace(scene):
    text = f"Traceback: Authorization: {scene.request.header('authorization', 'none')} {ANSI}"
    return Answer(500, [("Content-Type", "text/plain")], text.encode())


def _to_trap(scene):
    return scene.args["location"] or scene.server.trap_url + scene.request.target


def _redirect(status, text):
    @misbehaviour("redirect", f"redirect-{status}", f"{status} {text}, to the trap or `location`", needs_trap=True, location="")
    def answer(scene):
        if status == 300:
            found = scene.answer()
            found.status = 300
            found.headers.append(("Location", _to_trap(scene)))
            return found
        return Answer(status, [("Location", _to_trap(scene))])
    return answer


for _status, _text in REDIRECTS.items():
    _redirect(_status, _text)


@misbehaviour("redirect", "redirect-loop", "302 to the same place")
def redirect_loop(scene):
    return Answer(302, [("Location", scene.request.target)])


@misbehaviour("redirect", "redirect-file", "302 to file:///etc/passwd")
def redirect_file(scene):
    return Answer(302, [("Location", "file:///etc/passwd")])


@misbehaviour("redirect", "redirect-no-location", "302 without Location")
def redirect_no_location(scene):
    return Answer(302)
