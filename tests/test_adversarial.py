"""Hostile requests: each is refused in the words of its dialect, or answered, and the next good one is answered."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adversarial.kit import (
    CHATS,
    ECHO,
    OMIT,
    ask,
    assert_refused,
    assert_serves,
    call,
    connect,
    post,
    read_all,
    read_reply,
    read_text,
    send,
    write_prompt,
)
from tests.live import Live, live_server

CAP_BYTES = 200_000
MEDIA_CAP_BYTES = 800_000
DEEP = 100_000
STATUS_LINE = re.compile(rb"HTTP/1\.[01] \d")
SHOW = "/api/show"
ROUTE = "/v1/route"
# Valid for every endpoint that takes a body, so that a fault put into it is the only one.
GOOD = b'"stream":false,"model":"fallback","text":"x","prompt":"x","messages":[{"role":"user","content":"x"}]'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = {"threads": 16, "max_body_bytes": CAP_BYTES, "max_body_bytes_media": MEDIA_CAP_BYTES}
    experts = [ECHO, {**ECHO, "id": 1, "label": "Übersetzung 😀", "keywords": ["übersetze", "翻译"]}]
    with live_server(tmp_path_factory.mktemp("live"), config={"server": limits}, experts=experts) as live:
        yield live


@pytest.fixture(autouse=True)
def _still_serves(server: Live) -> Iterator[None]:
    yield
    assert_serves(server)


# Bodies that are no request

UNREADABLE = {
    "empty": b"",
    "white space": b" \r\n\t ",
    "truncated": b'{"model":',
    "truncated in a string": b'{"model":"fall',
    "not UTF-8": b'{"model":"\xff\xfe"}',
    "UTF-16": '{"messages":[{"role":"user","content":"x"}]}'.encode("utf-16"),
    "overlong UTF-8": b'{"model":"\xc0\xaf"}',
    "UTF-8 of a surrogate": b'{"model":"\xed\xa0\x80"}',
    "array": b"[]",
    "string": b'"hello"',
    "number": b"5",
    "null": b"null",
    "true": b"true",
    "two objects": b"{}{}",
    "single quotes": b"{'model':'fallback'}",
    "comment": b'{/* */"model":"fallback"}',
    "trailing comma": b'{"model":"fallback",}',
    "raw NUL in a string": b'{"model":"a\x00b"}',
    "only NULs": b"\0" * 4096,
    "form": b"model=fallback&messages=x",
    "NaN": b'{"x":NaN}',
    "Infinity": b'{"x":-Infinity}',
    "bare 1e400 as a model": b'{"model":1e400}',
    "key without quotes": b'{model:"fallback"}',
    "deep arrays": b"[" * DEEP,
    "deep arrays, closed, in an unknown field": b'{"x":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "deep objects": b'{"x":' * 30_000,
    "deep behind a string that looks like brackets": b'{"x":"\\"[[[","y":' + b"[" * DEEP,
    "model is a number": b'{"model":5}',
    "model is an array": b'{"model":["fallback"]}',
    "model is an object": b'{"model":{}}',
    "model is of 100,000 digits": b'{"model":' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("path", [*CHATS, ROUTE, SHOW])
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_is_no_request_is_a_400(server: Live, path: str, body: bytes) -> None:
    reply = post(server, path, body)
    assert_refused(reply, path, 400)
    assert len(reply.body) < 1000


@pytest.mark.parametrize("path", CHATS)
def test_every_wrong_type_in_every_field_is_told_or_ignored(server: Live, path: str) -> None:
    wrong: tuple[Any, ...] = (None, True, 5, -1, 1e300, "x", [], [5], [None], {}, {"x": 5}, [{}], [[]], [{"role": 5}])
    fields = ("model", "messages", "prompt", "stream", "options", "format", "tools", "tool_choice", "stop", "images",
              "temperature", "max_tokens", "keep_alive", "think", "stream_options", "response_format", "suffix", "raw",
              "context", "template", "system", "seed", "n", "reasoning_effort", "reasoning", "top_p", "logprobs")
    for field in fields:
        for value in wrong:
            reply = post(server, path, write_prompt(path, "x") | {field: value, "stream": field != "stream" and False})
            if reply.status != 200:
                # 503: tools and nobody who has them; 502: a schema that the answer does not keep
                assert_refused(reply, path, 400, 404, 502, 503)


CONTENTS: tuple[Any, ...] = (5, True, {}, [5], [None], [[]], [{}], [{"type": 5}], [{"type": "text"}],
                             [{"type": "text", "text": None}], [{"type": "text", "text": 5}], [{"type": "input_audio"}],
                             [{"type": "image_url"}], [{"type": "image_url", "image_url": {"url": 5}}],
                             [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}],
                             [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
                             [{"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}],
                             [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}])


@pytest.mark.parametrize("content", CONTENTS, ids=json.dumps)
def test_content_of_a_wrong_type_is_named(server: Live, content: Any) -> None:
    for path in CHATS[:2]:
        reply = post(server, path, {"stream": False, "messages": [{"role": "user", "content": content}]})
        assert_refused(reply, path, 400)
        assert "messages" in reply.message or "the image at http://169.254.169.254/latest" in reply.message


@pytest.mark.parametrize("role", [5, None, "", "wizard", "system\n", "user\0", ["user"], "U" * 9000, "\u202eresu"])
def test_a_role_that_nobody_knows_is_named(server: Live, role: Any) -> None:
    for path in CHATS[:2]:
        reply = post(server, path, {"stream": False, "messages": [{"role": role, "content": "x"}]})
        assert_refused(reply, path, 400)
        assert "role" in reply.message
        assert len(reply.body) < 1000


# Bodies that are odd and yet requests

ODD = {
    "byte order mark": b"\xef\xbb\xbf{%s}" % GOOD,
    "duplicate keys": b'{"model":"nobody",%s}' % GOOD,
    "escaped NUL": b'{%s,"prompt":"a\\u0000b","messages":[{"role":"user","content":"a\\u0000b"}]}' % GOOD,
    "half a surrogate pair": b'{%s,"prompt":"\\ud800","messages":[{"role":"user","content":"\\ud800"}]}' % GOOD,
    "unknown number of 100,000 digits": b'{%s,"x":%s}' % (GOOD, b"9" * 100_000),
    "10,000 unknown keys": b"{%s,%s}" % (GOOD, b",".join(b'"k%d":%d' % (i, i) for i in range(10_000))),
    "63 levels deep": b'{%s,"x":%s1%s}' % (GOOD, b"[" * 63, b"]" * 63),
    "100,000 brackets in a text": b'{%s,"prompt":"%s","messages":[{"role":"user","content":"%s"}]}'
                                  % (GOOD, b"[" * 50_000, b"[" * 50_000),
    "bidirectional controls": '{%s,"messages":[{"role":"user","content":"\u202e\u2066\u200f"}]}'.encode()
                              % GOOD,
    "Python's own attribute names": b'{%s,"__class__":"x","__proto__":{},"constructor":{}}' % GOOD,
}


@pytest.mark.parametrize("path", [*CHATS, ROUTE, SHOW])
@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_an_odd_body_is_still_answered(server: Live, path: str, body: bytes) -> None:
    reply = post(server, path, body)
    assert reply.status == 200, reply
    assert reply.json


def test_ten_thousand_messages_are_one_conversation(server: Live) -> None:
    messages = [{"role": ("user", "assistant")[i % 2], "content": "y"} for i in range(4_999)]
    for path in CHATS[:2]:
        reply = post(server, path, {"stream": False, "messages": [*messages, {"role": "user", "content": "the last"}]})
        assert read_text(reply) == "the last"


def test_ten_thousand_empty_messages_are_no_crash(server: Live) -> None:
    reply = post(server, "/api/chat", {"stream": False, "messages": [{"role": "user", "content": ""}] * 5_000})
    assert reply.status == 200


@pytest.mark.parametrize("kind", ["text/plain", "text/html; charset=utf-16", "multipart/form-data; boundary=x",
                                  "application/x-www-form-urlencoded", "", "\xff\xfe", "application/json;" * 500, OMIT])
def test_the_content_type_of_a_body_does_not_matter(server: Live, kind: str) -> None:
    for path in CHATS:
        body = json.dumps(write_prompt(path, "said")).encode()
        assert read_text(post(server, path, body, headers={"Content-Type": kind})) == "said"


@pytest.mark.parametrize(("encoding", "status"), [
    ("gzip", 400), ("deflate", 400), ("zstd", 400), ("identity, gzip", 400), ("br", 415), ("gzip, gzip", 415),
    ("x" * 3000, 415),
], ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("path", [*CHATS, ROUTE, SHOW])
def test_a_body_that_is_not_compressed_as_it_says_is_refused(
    server: Live, path: str, encoding: str, status: int
) -> None:
    reply = post(server, path, b"\x1f\x8b" + b"\0" * 100, headers={"Content-Encoding": encoding})
    assert_refused(reply, path, status)
    assert "Content-Encoding" in reply.message
    assert len(reply.body) < 1000


# Bodies that are too large


@pytest.mark.parametrize("path", [*CHATS, ROUTE, SHOW])
@pytest.mark.parametrize("more", [{}, {"images": []}, {"x": "data:image/png;base64,AAAA"}],
                         ids=["plain", "with a word about images", "with an image where none belongs"])
def test_more_text_than_allowed_is_a_413(server: Live, path: str, more: dict[str, Any]) -> None:
    text = "x" * (CAP_BYTES + 1)
    body = {"model": "fallback", "text": text, **write_prompt(path, text), **more}
    if path == ROUTE:
        del body["messages" if "messages" in body else "prompt"]
    assert_refused(post(server, path, body), path, 413)


def test_media_may_be_larger_than_text(server: Live) -> None:
    image = "iVBORw0KGgoA" + "A" * (CAP_BYTES * 2)
    message = {"role": "user", "content": "what is it?", "images": [image]}
    assert read_text(post(server, "/api/chat", {"stream": False, "messages": [message]})) == "what is it?"


def test_media_beyond_their_own_limit_are_a_413(server: Live) -> None:
    body = {"messages": [{"role": "user", "content": "", "images": ["A" * MEDIA_CAP_BYTES]}]}
    assert_refused(post(server, "/api/chat", body), "/api/chat", 413)


@pytest.mark.parametrize("path", [*CHATS, "/nowhere", "/v1/nowhere"])
def test_a_chunked_body_over_the_limit_gets_its_413_and_not_a_reset(server: Live, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"10000\r\n%s\r\n" % (b"x" * 65_536) for _ in range(40))
    assert_refused(send(server, head + chunks + b"0\r\n\r\n"), path, 413)


def test_a_chunked_body_between_the_limits_is_a_413_too(server: Live) -> None:
    body = json.dumps(write_prompt("/api/chat", "x" * (CAP_BYTES + 1))).encode()
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert_refused(send(server, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)), "/api/chat", 413)


# Framing

FRAMES = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a list of lengths": b"Content-Length: 5, 5\r\n\r\nhello",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a signed length": b"Content-Length: +5\r\n\r\nhello",
    "a length in hex": b"Content-Length: 0x5\r\n\r\nhello",
    "a length of 5,000 digits": b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a length with an underscore": b"Content-Length: 1_0\r\n\r\nhellohello",
    "a length of exotic digits": "Content-Length: ٥\r\n\r\nhello".encode(),
    "both framings": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
    "both framings, the other way round": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "an unknown transfer coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "a chunk of 2^70 bytes": b"Transfer-Encoding: chunked\r\n\r\n400000000000000000\r\nhello\r\n",
    "an endless chunk extension": b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\nhello",
    "a line without a colon": b"Content-Length 5\r\n\r\nhello",
    "a folded header": b"X-A: b\r\n Content-Length: 5\r\n c\r\nContent-Length:\r\n\r\n",
    "a header without a name": b": x\r\n\r\n",
    "a NUL in a header": b"X-A: a\0b\r\n\r\n",
    "a lone CR in a header": b"X-A: a\rContent-Length: 5\r\n\r\n",
    "a header of 100,000 bytes": b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "10,000 headers": b"".join(b"X-%d: a\r\n" % i for i in range(10_000)) + b"\r\n",
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
@pytest.mark.parametrize("rest", FRAMES.values(), ids=FRAMES.keys())
def test_a_request_framed_wrongly_runs_nothing_and_ends_the_connection(server: Live, path: str, rest: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + rest)
        answer = read_all(sock)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(STATUS_LINE.findall(answer)) == 1, answer  # what follows is never read as a second request
    assert int(head.split(b" ")[1]) in (400, 413, 431, 501), answer
    assert isinstance(json.loads(body)["error"], dict if path.startswith("/v1") else str)


FIRST_LINES = {
    "no version": b"GET /nowhere\r\n\r\n",
    "an unknown version": b"GET /nowhere HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 100 + b"\r\n\r\n",
    "nothing but NULs": b"\0" * 300 + b"\r\n\r\n",
    "a method in lower case": b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target of bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with spaces": b"GET /a b c HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a broken authority": b"GET http://[::1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method of 100,000 bytes": b"G" * 100_000 + b" / HTTP/1.1\r\n\r\n",
    "a target of 100,000 bytes": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("raw", FIRST_LINES.values(), ids=FIRST_LINES.keys())
def test_what_is_no_http_is_told_so_or_closed(server: Live, raw: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    assert answer == b"" or int(answer.split(b" ")[1]) in (400, 404, 405, 431, 505), answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", CHATS)
def test_a_body_shorter_than_announced_is_never_run(server: Live, path: str) -> None:
    body = json.dumps(write_prompt(path, "x")).encode()
    with connect(server) as sock:
        sock.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                     % (path.encode(), len(body) + 1, body))
        sock.shutdown(socket.SHUT_WR)
        assert b" 200 " not in read_all(sock)


def test_a_body_longer_than_announced_is_not_taken_for_it(server: Live) -> None:
    body = json.dumps(write_prompt("/api/chat", "x")).encode()
    with connect(server) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n" + body)
        assert_refused(read_reply(sock), "/api/chat", 400)


ODD_HEADS = {
    "HTTP/1.0": b"HTTP/1.0\r\n",
    "HTTP/1.0 that wants to stay": b"HTTP/1.0\r\nConnection: keep-alive\r\n",
    "an upgrade to HTTP/2": b"HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n",
    "an unknown expectation": b"HTTP/1.1\r\nConnection: close\r\nExpect: 200-maybe\r\n",
    "another method by a header": b"HTTP/1.1\r\nConnection: close\r\nX-HTTP-Method-Override: DELETE\r\n",
    "a range": b"HTTP/1.1\r\nConnection: close\r\nRange: bytes=0-5\r\nIf-None-Match: *\r\n",
    "a thousand headers": b"HTTP/1.1\r\nConnection: close\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(1_000)),
    "a CGI header that poisons": b"HTTP/1.1\r\nConnection: close\r\nProxy: http://192.0.2.1\r\nRemote_Addr: x\r\n",
}


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("head", ODD_HEADS.values(), ids=ODD_HEADS.keys())
def test_what_a_client_wishes_beside_its_request_changes_nothing(server: Live, path: str, head: bytes) -> None:
    for streams in (False, True):
        body = json.dumps(write_prompt(path, "said") | {"stream": streams}).encode()
        with connect(server) as sock:
            sock.sendall(b"POST %s %sHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                         % (path.encode(), head, len(body), body))
            reply = read_reply(sock)
        assert reply.status == 200
        assert b'"said"' in reply.body


def test_a_web_socket_is_refused_in_the_words_of_the_dialect(server: Live) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    for path in CHATS:
        assert_refused(call(server, "GET", path, headers=headers), path, 400, 405)


# Targets and methods

NOT_FOUND = ("/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/..", "/v1/models/%2e%2e",
             "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/v1/models/%00", "/v1/models/a%00b",
             "/v1/models//", "/v1/models/%2f", "/v1/models/a//b", "/v1/models/a%0d%0aX-Evil:%201", "/v1//models",
             "/v1/models/%ff%fe", "/v1/models/" + "a" * 60_000, "/v1/models/%F0%9F%98%80", "/%ff", "/health//",
             "/HEALTH", "/health;x=1", "/./health", "/%2e/health", "//evil.example/health", "http://evil.example", "*",
             "evil", "/v1/models/%", "/v1/models/{{7*7}}", "/static/app.js", "/v1/models/fallback/..")


@pytest.mark.parametrize("target", NOT_FOUND, ids=lambda target: target[:40])
def test_an_odd_target_is_a_404(server: Live, target: str) -> None:
    reply = call(server, "GET", target)
    assert_refused(reply, target if target.startswith("/v1") else "/", 404)
    assert "x-evil" not in reply.headers
    assert "location" not in reply.headers


@pytest.mark.parametrize("target", ["//", "///health", "/health?" + "&" * 30_000, "/health?%00=%ff", "/%68ealth",
                                    "http://evil.example/health", "/v1/route?text=%ff%00&text=b&model=%20",
                                    "/v1/models/FALLBACK%3Alatest", "/health/", "/v1/models/", "/api/tags/"],
                         ids=lambda target: target[:40])
def test_an_odd_spelling_of_a_good_target_is_served(server: Live, target: str) -> None:
    assert call(server, "GET", target).status == 200


@pytest.mark.parametrize("path", CHATS)
def test_a_slash_at_the_end_of_a_chats_path_changes_nothing(server: Live, path: str) -> None:
    for streams in (False, True):
        reply = post(server, f"{path}/", write_prompt(path, "said") | {"stream": streams})
        assert (reply.status, b'"said"' in reply.body) == (200, True)
    assert_refused(post(server, f"{path}/", b"{"), path, 400)
    assert_refused(call(server, "GET", f"{path}/"), path, 405)


PATHS = {"/": "GET", "/health": "GET", "/api/version": "GET", "/api/tags": "GET", "/api/ps": "GET", "/v1/models": "GET",
         "/v1/models/fallback": "GET", "/v1/route?text=x": "GET", "/api/show": "POST", "/api/chat": "POST",
         "/api/generate": "POST", "/v1/chat/completions": "POST"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "X" * 5_000])
def test_a_wrong_method_is_a_405_that_names_the_right_ones(server: Live, method: str) -> None:
    for path, right in PATHS.items():
        reply = call(server, method, path)
        assert_refused(reply, path, 405)
        assert right in reply.headers["allow"]
        assert len(reply.body) < 300


def test_head_never_has_a_body(server: Live) -> None:
    for path, right in [*PATHS.items(), ("/nowhere", ""), ("/v1/nowhere", "")]:
        with connect(server) as sock:
            sock.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head, end, body = read_all(sock).partition(b"\r\n\r\n")
        assert (end, body) == (b"\r\n\r\n", b"")
        assert int(head.split(b" ")[1]) == {"GET": 200, "POST": 405}.get(right, 404)


def test_options_is_answered_everywhere_without_a_body(server: Live) -> None:
    for path in [*PATHS, "/nowhere", "*"]:
        reply = call(server, "OPTIONS", path, headers={"Origin": "http://localhost:3000"})
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "content-type" not in reply.headers


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere", "/api/web_search", "/v1beta", "/api"])
def test_an_unknown_path_is_a_404_in_its_dialect(server: Live, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert_refused(call(server, method, path, b"{" if method == "POST" else None), path, 404)


# What must not get into headers


@pytest.mark.parametrize("name", ["fallback\r\nX-Evil: 1", "fallback\nX-Evil: 1", "\r\n\r\n<script>",
                                  "gpt-4\r\nX-Evil: 1", "claude-\0", "o1\x1b[2J", "\u202ekcabllaf", "../../etc",
                                  "a" * 100_000])
def test_a_model_name_never_reaches_a_header(server: Live, name: str) -> None:
    for path in CHATS:
        reply = ask(server, path=path, model=name)
        assert reply.status in (200, 404)
        assert "x-evil" not in reply.headers
        assert all(value.isascii() and value.isprintable() and len(value) < 300 for value in reply.headers.values())


@pytest.mark.parametrize("given", ["a b", "<script>", "x" * 65, "\xff", "../..", "a;b", "%0d%0a", '"', ""])
def test_a_request_id_that_is_not_plain_is_replaced(server: Live, given: str) -> None:
    reply = call(server, "GET", "/health", headers={"X-Request-Id": given})
    assert reply.headers["x-request-id"] != given
    assert reply.headers["x-request-id"].isalnum()


def test_a_label_that_no_header_can_carry_is_percent_encoded_there_and_whole_elsewhere(server: Live) -> None:
    reply = ask(server, "übersetze das")
    assert reply.headers["x-moe-expert"] == "%C3%9Cbersetzung %F0%9F%98%80"
    assert reply.json["model"] == "Übersetzung 😀"
    shown = call(server, "GET", "/v1/models/%C3%9Cbersetzung%20%F0%9F%98%80")
    assert shown.json["id"] == "Übersetzung 😀"


@pytest.mark.parametrize("accept", ["*/*", "", ";", "text/html;q=x", "a" * 30_000, "*/*;q=-1,text/html;q=9",
                                    "\xff/\xfe", "," * 5_000])
def test_an_odd_accept_header_still_greets(server: Live, accept: str) -> None:
    assert call(server, "GET", "/", headers={"Accept": accept}).status == 200


def test_the_page_does_not_carry_what_the_host_header_says(server: Live) -> None:
    page = call(server, "GET", "/", headers={"Accept": "text/html", "Host": "x.local"})
    assert b"x.local" in page.body
    for host in ('"><script>alert(1)</script>.local', "x'onload='.local"):
        reply = call(server, "GET", "/", headers={"Accept": "text/html", "Host": host})
        assert reply.status == 403
        assert b"script" not in reply.body
