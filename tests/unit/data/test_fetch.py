from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.data import fetch
from harness.data.answers import RefusedError, proxy_for, redirected, shown
from harness.data.fetch import Fetched, fetch_file
from harness.errors import DataError
from harness.files import exclusive_lock
from harness.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
BODY = random.Random(0).randbytes(300_000)
HALF = 150_000
BEGINNING = 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
OTHER = random.Random(1).randbytes(300_000)
PACKED = gzip.compress(BODY, mtime=0)
REPETITIVE = gzip.compress(bytes(range(256)) * 500, mtime=0)  # its blocks are really compressed
RESET = b"reset the connection"
LINGER_0_S = struct.pack("ii", 1, 0)
SETTLED = "Mon, 01 Jan 2018 00:00:00 GMT"


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]

    @property
    def start(self) -> int | None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else None


Answer = bytes | Callable[[Request], Iterator[bytes]]


@dataclass
class Site:
    """A web server on this machine; each request gets the next answer of the script.

    The last answer is given to all later requests too. A connection ends with its answer.
    """

    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def answers(self, *script: Answer) -> None:
        self.script = list(script)

    def respond(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = _read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            for block in [answer] if isinstance(answer, bytes) else answer(request):
                if block is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0_S)
                    return
                connection.sendall(block)

    def starts(self) -> list[int | None]:
        return [request.start for request in self.requests]


def _read_request(connection: socket.socket) -> Request | None:
    with connection.makefile("rb") as stream:
        first = stream.readline().decode().split()
        head = iter(lambda: stream.readline().decode().strip(), "")
        headers = dict(line.lower().split(": ", 1) for line in head) if first else {}
    return Request(first[1], headers) if first else None


@pytest.fixture
def new_site() -> Iterator[Callable[[], Site]]:
    with contextlib.ExitStack() as stack:

        def new() -> Site:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            site = Site(url=f"http://127.0.0.1:{listener.getsockname()[1]}/file")
            thread = threading.Thread(target=_serve, args=(listener, site))
            thread.start()
            # in the reverse order: shutting down ends `accept`, which ends the thread
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return site

        yield new


def _serve(listener: socket.socket, site: Site) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=site.respond, args=(connection,), daemon=True).start()


@pytest.fixture
def site(new_site: Callable[[], Site]) -> Site:
    return new_site()


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file"


def reply(status: str = "200 OK", body: bytes = b"", /, **headers: Any) -> bytes:
    """Return an answer as it goes over the wire; a length of None is left out."""
    given = {"content_length": len(body), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items() if value != None]  # noqa: E711
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def broken(body: bytes = BODY, at: int = HALF, **headers: Any) -> bytes:
    """Return an answer that announces all of ``body`` and ends early."""
    return reply("200 OK", body[:at], content_length=len(body), **headers)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", **headers: Any) -> bytes:
    body = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + end
    return reply("200 OK", body, content_length=None, transfer_encoding="chunked", **headers)


def rest(body: bytes, start: int, **headers: Any) -> bytes:
    stated = {"content_range": f"bytes {start}-{len(body) - 1}/{len(body)}", **headers}
    return reply("206 Partial Content", body[start:], **stated)


def ranged(body: bytes = BODY, **validators: str) -> Callable[[Request], Iterator[bytes]]:
    """Return what an honest server answers that knows ranges."""

    def answer(request: Request) -> Iterator[bytes]:
        known = request.headers.get("if-range") in (None, *map(str.lower, validators.values()))
        if request.start is None or not known:
            yield reply("200 OK", body, **validators)
        elif request.start >= len(body):
            yield reply("416 Range Not Satisfiable", content_range=f"bytes */{len(body)}")
        else:
            yield rest(body, request.start, **validators)

    return answer


def get(url: str | list[str], target: Path, sha256: str | None = DIGEST, **options: Any) -> Fetched:
    settings = {"attempts": 3, "wait_s": 0.001, "timeout_s": 5.0, **options}
    progress = settings.pop("progress", Progress(shown=False))
    return fetch_file([url] if isinstance(url, str) else url, target, sha256, progress, **settings)


def refusal(*arguments: Any, **options: Any) -> str:
    """Return the message of a fetch that must fail, and leave nothing under the final name."""
    with pytest.raises(DataError) as caught:
        get(*arguments, **options)
    assert not arguments[1].exists()
    return str(caught.value)


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def leave_part(target: Path, content: bytes, url: str, **notes: Any) -> None:
    """Leave what an earlier call would have left of ``url``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part_of(target).write_bytes(content)
    known = {"url": url, "etag": None, "last_modified": None, "total": None, **notes}
    target.with_name(f"{target.name}.part.json").write_text(json.dumps(known))


def assert_alone(target: Path, body: bytes = BODY) -> None:
    """Check that the whole file is there, and nothing beside it but the lock."""
    assert target.read_bytes() == body
    assert {path.name for path in target.parent.iterdir()} == {target.name, f".{target.name}.lock"}


# plain cases


def test_a_file_arrives_whole_with_its_digest_and_size(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", BODY))
    found = get(site.url, target)
    assert found == Fetched(target, DIGEST, len(BODY), kept=False, resumed_from=0)
    assert_alone(target)
    (request,) = site.requests
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers


def test_without_a_known_digest_the_found_one_is_returned(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", BODY))
    assert get(site.url, target, None).sha256 == DIGEST


def test_an_empty_file_is_a_file(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", b""))
    assert get(site.url, target, None).n_bytes == 0
    assert_alone(target, b"")


def test_a_digest_in_capitals_is_the_same_digest(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", BODY))
    assert get(site.url, target, DIGEST.upper()).sha256 == DIGEST


@pytest.mark.parametrize("sha256", [DIGEST, None])
def test_a_file_that_is_there_is_kept_and_nothing_requested(
    site: Site, target: Path, sha256: str | None
) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert get(site.url, target, sha256) == Fetched(target, DIGEST, len(BODY), True, 0)
    assert not site.requests
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_another_file_under_the_name_is_left_and_reported(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(OTHER)
    with pytest.raises(DataError, match=f"expected {DIGEST}, found .*delete it to fetch it again"):
        get(site.url, target)
    assert target.read_bytes() == OTHER
    assert not site.requests


def test_a_damaged_gzip_file_under_the_name_is_reported(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "file.gz"
    target.write_bytes(PACKED[:-9])
    with pytest.raises(DataError, match=r"not a whole gzip file.*delete it to fetch it again"):
        get(site.url, target, None)
    assert not site.requests


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/file", "file", "http://", "http://[", "//a/b"]
)
def test_only_http_and_https_urls_are_fetched(target: Path, url: str) -> None:
    assert "not an http or https url" in refusal(url, target)


def test_no_url_at_all_is_an_error(target: Path) -> None:
    assert "no url is given" in refusal([], target)


# breaks and going on


@pytest.mark.parametrize("name", ["etag", "last_modified"])
def test_a_broken_connection_is_resumed_where_it_broke(site: Site, target: Path, name: str) -> None:
    validator = {"etag": '"one"', "last_modified": SETTLED}[name]
    site.answers(broken(**{name: validator}), ranged(**{name: validator}))
    assert get(site.url, target, None).resumed_from == 0
    assert_alone(target)
    assert site.starts() == [None, HALF]
    assert site.requests[1].headers["if-range"] == validator.lower()


def test_a_reset_connection_loses_no_byte_that_had_arrived(site: Site, target: Path) -> None:
    def reset(request: Request) -> Iterator[bytes]:
        yield broken(at=BEGINNING, etag='"one"')
        wait_until(lambda: has(target, BEGINNING))
        yield RESET

    site.answers(reset, ranged(etag='"one"'))
    get(site.url, target, None)
    assert site.starts() == [None, BEGINNING]
    assert_alone(target)


def test_tries_that_bring_something_new_are_not_counted(site: Site, target: Path) -> None:
    pieces = [broken(at=50_000, etag='"one"')]
    for start in range(50_000, 300_000, 50_000):
        stated = {"content_range": f"bytes {start}-299999/300000", "etag": '"one"'}
        body = BODY[start : start + 50_000]
        pieces.append(reply("206 Partial", body, **{**stated, "content_length": 300_000 - start}))
    site.answers(*pieces)
    get(site.url, target, attempts=2)
    assert site.starts() == [None, 50_000, 100_000, 150_000, 200_000, 250_000]
    assert_alone(target)


def test_a_server_that_always_breaks_is_given_up(site: Site, target: Path) -> None:
    site.answers(broken())
    message = refusal(site.url, target, None)
    assert f"{HALF} bytes read, {HALF} more expected" in message
    assert "goes on from" not in message  # without validator and digest the next call starts anew
    assert site.starts() == [None, None, None]


def test_the_next_call_goes_on_from_what_the_last_one_left(site: Site, target: Path) -> None:
    site.answers(broken(etag='"one"'), reply("404 Not Found"))
    assert f"goes on from the {HALF} bytes that are there" in refusal(site.url, target)
    site.answers(ranged(etag='"one"'))
    assert get(site.url, target).resumed_from == HALF
    assert site.starts() == [None, HALF, HALF]
    assert_alone(target)


def test_a_server_that_ignores_ranges_is_read_from_the_start(site: Site, target: Path) -> None:
    site.answers(broken(etag='"one"'), reply("200 OK", BODY, etag='"one"'))
    get(site.url, target, None)
    assert site.starts() == [None, HALF]
    assert_alone(target)


def test_a_file_that_changed_meanwhile_is_read_from_the_start(site: Site, target: Path) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"', total=len(BODY))
    site.answers(ranged(OTHER, etag='"two"'))
    assert get(site.url, target, None).resumed_from == 0
    assert site.starts() == [HALF]
    assert_alone(target, OTHER)


def test_each_try_may_meet_another_version(site: Site, target: Path) -> None:
    site.answers(
        broken(etag='"one"'),
        broken(OTHER, 200_000, etag='"two"'),
        ranged(OTHER, etag='"two"'),
    )
    get(site.url, target, None)
    assert site.starts() == [None, HALF, 200_000]
    assert_alone(target, OTHER)


@pytest.mark.parametrize(
    "wrong",
    [
        {"content_range": "bytes 100-299999/300000"},
        {"content_range": f"bytes {HALF}-299999/300001"},
        {"content_range": f"bytes {HALF}-300000/300001"},
        {"content_range": f"bytes {HALF}-300000/300001", "content_length": HALF + 1},
        {"content_range": f"bytes {HALF}-299998/300000"},
        {"content_range": f"bytes {HALF}-299999/*"},
        {"content_range": "items 1-2/3"},
        {"content_range": None},
        {"etag": '"two"'},
        {"content_length": HALF - 1},
    ],
)
def test_a_range_that_does_not_fit_is_not_taken(
    site: Site, target: Path, wrong: dict[str, Any]
) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"', total=len(BODY))
    site.answers(rest(OTHER, HALF, **{"etag": '"one"', **wrong}), reply("200 OK", OTHER))
    assert get(site.url, target, None).resumed_from == 0
    assert site.starts() == [HALF, None]
    assert_alone(target, OTHER)


def test_a_range_that_was_not_asked_for_is_no_file(site: Site, target: Path) -> None:
    site.answers(rest(BODY, HALF))
    assert "206" in refusal(site.url, target, None)


def test_nothing_left_to_send_means_that_all_is_there(site: Site, target: Path) -> None:
    leave_part(target, BODY, site.url, etag='"one"')
    site.answers(ranged(etag='"one"'))
    assert get(site.url, target, None).resumed_from == len(BODY)
    assert site.starts() == [len(BODY)]
    assert_alone(target)


def test_more_bytes_than_the_server_has_are_not_kept(site: Site, target: Path) -> None:
    leave_part(target, BODY + b"x", site.url, etag='"one"')
    site.answers(ranged(etag='"one"'))
    assert get(site.url, target, None).resumed_from == 0
    assert site.starts() == [len(BODY) + 1, None]
    assert_alone(target)


def test_a_complete_part_needs_no_request(site: Site, target: Path) -> None:
    leave_part(target, BODY, site.url, total=len(BODY))
    assert get(site.url, target).resumed_from == len(BODY)
    assert not site.requests
    assert_alone(target)


@pytest.mark.parametrize(
    ("same_url", "etag", "sha256", "start"),
    [
        (True, '"one"', None, HALF),
        (True, None, DIGEST, HALF),
        (False, '"one"', DIGEST, HALF),
        (True, None, None, None),
        (False, '"one"', None, None),
        (False, None, DIGEST, None),
    ],
)
def test_a_part_is_trusted_on_two_of_three_grounds(
    site: Site, target: Path, same_url: bool, etag: str | None, sha256: str | None, start: int
) -> None:
    url = site.url if same_url else "http://127.0.0.1:1/file"
    leave_part(target, BODY[:HALF], url, etag=etag, total=len(BODY))
    site.answers(ranged(etag='"one"'))
    assert get(site.url, target, sha256).resumed_from == (start or 0)
    assert site.starts() == [start]
    assert_alone(target)


@pytest.mark.parametrize(
    "validators",
    [
        {"etag": 'W/"one"'},
        {"etag": "one"},
        {"last_modified": SETTLED, "date": SETTLED},
        {"last_modified": "yesterday", "date": SETTLED},
        {},
    ],
)
def test_a_weak_validator_is_no_ground(
    site: Site, target: Path, validators: dict[str, str]
) -> None:
    site.answers(broken(**validators), reply("200 OK", BODY, **validators))
    get(site.url, target, None)
    assert site.starts() == [None, None]


@pytest.mark.parametrize(
    "notes", ["", "[]", "{", '{"url": 1}', '{"url": 1, "etag": 2, "last_modified": 3, "total": ""}']
)
def test_damaged_notes_are_no_ground(site: Site, target: Path, notes: str) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"')
    target.with_name("file.part.json").write_text(notes)
    site.answers(ranged(etag='"one"'))
    get(site.url, target, None)
    assert site.starts() == [None]
    assert_alone(target)


def test_a_wrong_beginning_is_found_by_the_digest(site: Site, target: Path) -> None:
    leave_part(target, OTHER[:HALF], site.url, etag='"one"')
    site.answers(ranged(etag='"one"'))
    assert get(site.url, target).resumed_from == 0
    assert site.starts() == [HALF, None]
    assert_alone(target)


# answers that may pass, and answers that are final


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad", "503 Busy", "429 Slow", "408 Late"])
def test_a_status_that_may_pass_is_tried_again(site: Site, target: Path, status: str) -> None:
    site.answers(reply(status, b"try later"), reply("200 OK", BODY))
    get(site.url, target)
    assert len(site.requests) == 2
    assert_alone(target)


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 Who", "403 No", "404 Gone", "410 Gone", "204 -"]
)
def test_any_other_status_is_final(site: Site, target: Path, status: str) -> None:
    site.answers(reply(status, b"never"))
    message = refusal(site.url, target)
    assert f"{site.url}: answered {status}" in message
    assert "run the same command again" in message
    assert len(site.requests) == 1


def test_waits_double_and_a_server_may_ask_for_longer_ones_within_a_bound(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    asked = ["7", "9" * 15, "9" * 5000, "Fri, 01 Jan 2100 00:00:00 GMT", "-5", "0"]
    busy = [reply("503 Busy", retry_after=text) for text in asked]
    site.answers(*busy, *[reply("503 Busy")] * 2, reply("200 OK", BODY))
    get(site.url, target, attempts=9, wait_s=1.0)
    assert waits == [7.0, 60.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_server_that_says_nothing_is_not_waited_for(site: Site, target: Path) -> None:
    done = threading.Event()

    def silent(request: Request) -> Iterator[bytes]:
        done.wait(10)
        yield b""

    site.answers(silent)
    assert "timed out" in refusal(site.url, target, attempts=2, timeout_s=0.05)
    done.set()
    assert len(site.requests) == 2


def test_a_server_that_falls_silent_is_asked_for_the_rest(site: Site, target: Path) -> None:
    done = threading.Event()

    def stuck(request: Request) -> Iterator[bytes]:
        yield broken(etag='"one"')
        done.wait(10)

    site.answers(stuck, ranged(etag='"one"'))
    get(site.url, target, timeout_s=0.5)
    done.set()
    assert site.starts() == [None, HALF]
    assert_alone(target)


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200"])
def test_what_is_not_http_is_an_error(site: Site, target: Path, answer: bytes) -> None:
    site.answers(answer)
    assert site.url in refusal(site.url, target, None)


def test_a_closed_port_is_an_error(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert "refused" in refusal(url, target)


# mirrors


def test_a_mirror_takes_over_when_the_tries_are_used_up(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(reply("503 Busy"))
    second.answers(reply("200 OK", BODY))
    get([first.url, second.url], target)
    assert (len(first.requests), len(second.requests)) == (3, 1)
    assert_alone(target)


def test_a_mirror_goes_on_only_with_the_same_version(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(broken(etag='"one"'), reply("404 Not Found"))
    second.answers(ranged(etag='"one"'))
    get([first.url, second.url], target)
    assert second.starts() == [HALF]
    assert_alone(target)


def test_a_stale_mirror_does_not_stop_the_next_one(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(reply("200 OK", OTHER))
    second.answers(reply("200 OK", BODY))
    get([first.url, second.url], target)
    assert (len(first.requests), len(second.requests)) == (2, 1)
    assert_alone(target)


def test_the_error_names_every_url_with_its_reason(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(reply("404 Not Found"))
    second.answers(reply("500 Oops"))
    message = refusal([first.url, second.url], target)
    assert f"{first.url}: answered 404 Not Found" in message
    assert f"{second.url}: answered 500 Oops" in message


# redirects


def test_redirects_are_followed_relative_and_absolute(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(
        *(reply(f"{status} Moved", location=f"to/{status}?a=b") for status in (301, 302, 303, 307)),
        reply("308 Moved", location=second.url),
    )
    second.answers(reply("200 OK", BODY))
    get(first.url, target)
    paths = [request.path for request in first.requests]
    assert paths[:3] == ["/file", "/to/301?a=b", "/to/to/302?a=b"]
    assert (len(paths), len(second.requests)) == (5, 1)
    assert_alone(target)


def test_a_redirect_keeps_asking_for_the_rest_only(site: Site, target: Path) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"', total=len(BODY))
    site.answers(reply("302 Found", location="/elsewhere"), ranged(etag='"one"'))
    assert get(site.url, target, None).resumed_from == HALF
    assert site.starts() == [HALF, HALF]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/file", "in a circle"),
        ("file:///etc/hostname", "neither http nor https"),
        ("ftp://127.0.0.1/file", "neither http nor https"),
        ("javascript:0", "neither http nor https"),
        ("http://[", "not a url"),
        ("http://127.0.0.1:port/", "127.0.0.1:port"),
        (None, "without saying where to"),
    ],
)
def test_a_bad_redirect_is_final(
    site: Site, target: Path, location: str | None, reason: str
) -> None:
    site.answers(reply("302 Found", location=location))
    assert reason in refusal(site.url, target)
    assert len(site.requests) == 1


def test_a_long_circle_is_noticed(site: Site, target: Path) -> None:
    site.answers(*(reply("302 Found", location=path) for path in ("/a", "/b", "/a")))
    assert "in a circle, back to http://127.0.0.1" in refusal(site.url, target)
    assert len(site.requests) == 3


def test_too_many_redirects_are_an_error(site: Site, target: Path) -> None:
    site.answers(*(reply("302 Found", location=f"/{number}") for number in range(9)))
    assert "more than 5 times" in refusal(site.url, target)
    assert len(site.requests) == 6


def test_https_is_never_left_for_http() -> None:
    with pytest.raises(RefusedError, match="from https to http://elsewhere/b"):
        redirected("https://example.org/a", "http://user:secret@elsewhere/b")
    with pytest.raises(RefusedError, match="from https to HTTP://example"):
        redirected("HTTPS://example.org/a", "HTTP://example.org/a")
    assert redirected("https://example.org/a", "/b") == "https://example.org/b"
    assert redirected("https://example.org/a", "//elsewhere/b") == "https://elsewhere/b"
    assert redirected("http://example.org/a", "https://elsewhere/") == "https://elsewhere/"


# lengths that lie, and encodings


@pytest.mark.parametrize("sha256", [DIGEST, None])
@pytest.mark.parametrize("etag", ['"one"', None])
def test_a_length_above_what_comes_ends_in_an_error(
    site: Site, target: Path, sha256: str | None, etag: str | None
) -> None:
    site.answers(reply("200 OK", BODY, content_length=len(BODY) + 5, etag=etag))
    assert f"{len(BODY)}" in refusal(site.url, target, sha256)


def test_a_length_below_what_comes_is_found_by_the_digest(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", BODY, content_length=HALF))
    short = hashlib.sha256(BODY[:HALF]).hexdigest()
    assert f"sha256 expected {DIGEST}, found {short}" in refusal(site.url, target)


def test_a_length_below_what_comes_is_found_in_gzip(site: Site, tmp_path: Path) -> None:
    site.answers(reply("200 OK", PACKED, content_length=HALF))
    assert "not a whole gzip file" in refusal(site.url, tmp_path / "file.gz", None)


@pytest.mark.parametrize("length", ["many", "-1", "1e3", "10, 20", "", "9" * 5000, "٣"])
def test_a_length_that_is_no_number_is_an_error(site: Site, target: Path, length: str) -> None:
    site.answers(reply("200 OK", BODY, content_length=length))
    assert site.url in refusal(site.url, target, None)


def test_a_chunked_file_arrives_whole(site: Site, target: Path) -> None:
    site.answers(chunked(BODY[:10], BODY[10:HALF], BODY[HALF:]))
    get(site.url, target, None)
    assert_alone(target)


@pytest.mark.parametrize("end", [b"", b"ffff\r\nabc", b"zz\r\n", b"5\r\nabc"])
def test_a_chunked_file_that_breaks_off_is_no_file(site: Site, target: Path, end: bytes) -> None:
    site.answers(chunked(BODY[:HALF], end=end))
    refusal(site.url, target, None)


def test_a_chunked_file_that_breaks_off_is_resumed(site: Site, target: Path) -> None:
    site.answers(chunked(BODY[:HALF], end=b"", etag='"one"'), ranged(etag='"one"'))
    get(site.url, target, None)
    assert site.starts() == [None, HALF]
    assert_alone(target)


def test_a_chunked_rest_that_is_too_long_is_no_rest(site: Site, target: Path) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"', total=len(BODY))
    long = chunked(BODY[HALF:], b"and more").replace(b"200 OK", b"206 Partial Content", 1)
    stated = f"\r\nContent-Range: bytes {HALF}-299999/300000\r\n\r\n".encode()
    site.answers(long.replace(b"\r\n\r\n", stated, 1), reply("200 OK", BODY))
    assert get(site.url, target, None).resumed_from == 0
    assert site.starts() == [HALF, None]
    assert_alone(target)


def test_a_body_that_ends_with_the_connection_needs_a_digest(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", BODY, content_length=None))
    assert "give its sha256" in refusal(site.url, target, None)
    get(site.url, target)
    assert_alone(target)


def test_a_body_encoded_on_the_way_is_refused(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", PACKED, content_encoding="gzip"))
    assert "encoded as gzip" in refusal(site.url, target, None)


def test_a_gzip_file_called_encoded_is_taken_as_it_is(site: Site, tmp_path: Path) -> None:
    site.answers(reply("200 OK", PACKED, content_encoding="x-gzip"))
    get(site.url, tmp_path / "file.gz", None)
    assert_alone(tmp_path / "file.gz", PACKED)


# verification


def test_a_wrong_digest_starts_over_once_and_shows_both(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", OTHER, etag='"one"'))
    message = refusal(site.url, target)
    assert f"expected {DIGEST}, found {hashlib.sha256(OTHER).hexdigest()}" in message
    assert site.starts() == [None, None]
    assert not part_of(target).exists()


def test_a_file_damaged_on_the_way_is_mended_by_starting_over(site: Site, target: Path) -> None:
    site.answers(reply("200 OK", OTHER), reply("200 OK", BODY))
    get(site.url, target)
    assert_alone(target)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        PACKED[:-1],
        PACKED[:HALF],
        PACKED[:-6] + b"\0" + PACKED[-5:],
        REPETITIVE[:15] + b"\xff\xff" + REPETITIVE[17:],
        PACKED + b"x",
        PACKED + b"trailing garbage",
        PACKED + PACKED[:10],
    ],
)
@pytest.mark.parametrize("digest_known", [True, False])
def test_what_is_not_a_whole_gzip_file_is_refused(
    site: Site, tmp_path: Path, content: bytes, digest_known: bool
) -> None:
    site.answers(reply("200 OK", content))
    digest = hashlib.sha256(content).hexdigest() if digest_known else None
    assert "not a whole gzip file" in refusal(site.url, tmp_path / "file.gz", digest)
    assert site.starts() == [None, None]
    assert not (tmp_path / "file.gz.part").exists()


@pytest.mark.parametrize(
    "content",
    [PACKED, PACKED + gzip.compress(b"second", mtime=0), gzip.compress(b"", mtime=0)],
    ids=["one", "two", "one that is empty"],  # the same in every process that collects
)
def test_a_gzip_file_of_one_or_more_members_is_whole(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    site.answers(reply("200 OK", content))
    get(site.url, tmp_path / "file.gz", None)
    assert_alone(tmp_path / "file.gz", content)


# secrets


def test_a_user_name_and_password_are_sent_but_never_shown(site: Site, target: Path) -> None:
    url = site.url.replace("//", "//me:se%40cret@")
    site.answers(broken(etag='"one"'), reply("403 Forbidden"))
    message = refusal(url, target)
    assert site.url in message
    assert site.requests[0].headers["authorization"].startswith("basic ")
    kept = "".join(path.read_text("latin-1") for path in target.parent.glob("*.json"))
    assert not re.search("se%40cret|se@cret", message + kept)
    assert shown("https://me:x@example.org/@scope?a=b@c") == "https://example.org/@scope?a=b@c"


def test_a_malformed_url_shows_no_password_either(target: Path) -> None:
    assert "secret" not in refusal("http://me:se/secret@example.org/", target)


def test_a_password_does_not_follow_to_another_host(
    new_site: Callable[[], Site], target: Path
) -> None:
    first, second = new_site(), new_site()
    first.answers(reply("302 Found", location=second.url))
    second.answers(reply("200 OK", BODY))
    get(first.url.replace("//", "//me:secret@"), target)
    assert "authorization" not in second.requests[0].headers


# killed, crowded, full


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(15_000):
        if happened():
            return
        time.sleep(0.002)
    raise TimeoutError("it did not happen")


CHILD = """
import resource, signal, sys
from pathlib import Path
from harness.data.fetch import fetch_file
from harness.progress import Progress
url, target, sha256, most = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # also below a shell that ignores it
if int(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
fetch_file([url], Path(target), sha256, Progress(shown=False))
"""


@contextlib.contextmanager
def another_process(url: str, target: Path, most: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CHILD, url, str(target), DIGEST, str(most)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def beginning_then(more: threading.Event) -> Callable[[Request], Iterator[bytes]]:
    """Return an answer that goes on behind its first bytes only after ``more``."""

    def answer(request: Request) -> Iterator[bytes]:
        yield broken(at=BEGINNING, etag='"one"')
        more.wait(30)
        yield BODY[BEGINNING:]

    return answer


def has(target: Path, n_bytes: int) -> bool:
    return part_of(target).exists() and part_of(target).stat().st_size == n_bytes


def test_a_killed_process_leaves_a_part_that_is_resumed(site: Site, target: Path) -> None:
    more = threading.Event()
    site.answers(beginning_then(more), ranged(etag='"one"'))
    with another_process(site.url, target) as process:
        wait_until(lambda: has(target, BEGINNING))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    more.set()
    assert not target.exists()
    assert get(site.url, target).resumed_from == BEGINNING
    assert site.starts() == [None, BEGINNING]
    assert_alone(target)


def test_an_interrupted_process_leaves_a_part(site: Site, target: Path) -> None:
    more = threading.Event()
    site.answers(beginning_then(more))
    with another_process(site.url, target) as process:
        wait_until(lambda: has(target, BEGINNING))
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    more.set()
    assert not target.exists()
    assert has(target, BEGINNING)


def test_a_second_process_does_not_disturb_the_first(site: Site, target: Path) -> None:
    more = threading.Event()
    site.answers(beginning_then(more))
    with another_process(site.url, target) as process:
        wait_until(lambda: has(target, BEGINNING))
        assert "another process is fetching" in refusal(site.url, target)
        more.set()
        assert process.wait() == 0
    assert len(site.requests) == 1
    assert get(site.url, target).kept
    assert_alone(target)


def test_what_the_first_process_fetched_meanwhile_is_kept(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def lock_after_the_other(path: Path) -> Iterator[bool]:
        with exclusive_lock(path) as held:
            target.write_bytes(BODY)
            yield held

    monkeypatch.setattr(fetch, "exclusive_lock", lock_after_the_other)
    assert get(site.url, target).kept
    assert not site.requests


def test_a_limit_on_file_sizes_ends_in_an_error_and_a_part(site: Site, target: Path) -> None:
    site.answers(ranged(etag='"one"'))
    with another_process(site.url, target, most=HALF) as process:
        message = process.communicate()[1]
    assert "DataError: cannot read or write" in message
    assert f"goes on from the {HALF} bytes that are there" in message
    assert not target.exists()
    assert get(site.url, target).resumed_from == HALF
    assert_alone(target)


def test_a_full_disk_says_what_is_there_and_the_next_call_resumes(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = Path.open

    @contextlib.contextmanager
    def open_on_a_full_disk(path: Path, mode: str = "r", *rest: Any) -> Iterator[Any]:
        with really_open(path, mode, *rest) as stream:
            yield _Crowded(stream) if mode == "ab" else stream

    site.answers(ranged(etag='"one"'))
    with monkeypatch.context() as full:
        full.setattr(Path, "open", open_on_a_full_disk)
        message = refusal(site.url, target)
    assert "no space left on the device; free some and run the same command again" in message
    assert f"goes on from the {HALF} bytes that are there" in message
    assert get(site.url, target).resumed_from == HALF
    assert_alone(target)


class _Crowded:
    """A stream on a disk with room for half the file."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._room = HALF

    def write(self, block: bytes) -> None:
        self._stream.write(block[: self._room])
        if len(block) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= len(block)

    def flush(self) -> None:
        self._stream.flush()


def test_a_folder_that_cannot_be_made_is_an_error(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="cannot read or write"):
        get(site.url, tmp_path / "data" / "file")


# progress


@dataclass
class Recorded(Progress):
    bars: list[tuple[str, int | None, str]] = field(default_factory=list)
    steps: list[list[int]] = field(default_factory=list)
    prefix: str = ""
    shown: bool = False

    @contextlib.contextmanager
    def bar(self, label: str, total: int | None = None, unit: str = "it") -> Iterator[Any]:
        self.bars.append((label, total, unit))
        self.steps.append([])
        yield self

    def advance(self, n: int = 1) -> None:
        self.steps[-1].append(n)


def test_the_bar_counts_bytes_and_starts_at_what_is_there(site: Site, target: Path) -> None:
    leave_part(target, BODY[:HALF], site.url, etag='"one"', total=len(BODY))
    site.answers(ranged(etag='"one"'))
    progress = Recorded()
    get(site.url, target, progress=progress)
    assert progress.bars == [("fetching file", len(BODY), "bytes")]
    (steps,) = progress.steps
    assert (steps[0], sum(steps)) == (HALF, len(BODY))


def test_the_bar_of_a_file_of_unknown_length_has_no_total(site: Site, target: Path) -> None:
    site.answers(chunked(BODY))
    progress = Recorded()
    get(site.url, target, progress=progress)
    assert progress.bars == [("fetching file", None, "bytes")]
    assert sum(progress.steps[0]) == len(BODY)


def test_a_second_try_is_announced(
    site: Site, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.answers(reply("503 Busy"), reply("200 OK", BODY))
    get(site.url, target, progress=Progress())
    shown_text = capsys.readouterr().err
    assert "file: answered 503 Busy; next try in 0.001 s" in shown_text
    assert "fetching file" in shown_text


# proxies


def through(monkeypatch: pytest.MonkeyPatch, proxy: Site, **variables: str) -> str:
    """Let the environment name the site as the proxy for http; return its address."""
    address = proxy.url.removesuffix("/file")
    for name, value in {"http_proxy": address, **variables}.items():
        monkeypatch.setenv(name, value.format(address=address.removeprefix("http://")))
    return address


@pytest.mark.parametrize("form", ["http://{address}", "{address}", "http://{address}/"])
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_asked(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch, variable: str, form: str
) -> None:
    through(monkeypatch, site)
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv(variable, form.format(address=site.url[7:].removesuffix("/file")))
    site.answers(reply("200 OK", BODY))
    get("http://nowhere.invalid/a/file?b=c", target)
    assert_alone(target)
    (request,) = site.requests
    assert request.path == "http://nowhere.invalid/a/file?b=c"
    assert request.headers["host"] == "nowhere.invalid"
    assert "proxy-authorization" not in request.headers


def test_a_transfer_through_a_proxy_goes_on_where_it_broke(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, site)
    site.answers(broken(etag='"one"'), ranged(etag='"one"'))
    get("http://nowhere.invalid/file", target, None)
    assert site.starts() == [None, HALF]
    assert_alone(target)


def test_a_host_that_is_excepted_is_asked_itself(
    new_site: Callable[[], Site], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, proxy = new_site(), new_site()
    through(monkeypatch, proxy, no_proxy="elsewhere.invalid,127.0.0.1")
    site.answers(reply("200 OK", BODY))
    get(site.url, target)
    assert not proxy.requests
    assert site.requests[0].path == "/file"


def test_a_redirect_is_followed_by_the_way_of_its_own_host(
    new_site: Callable[[], Site], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, proxy = new_site(), new_site()
    through(monkeypatch, proxy, no_proxy="127.0.0.1")
    proxy.answers(reply("302 Found", location=site.url))
    site.answers(reply("200 OK", BODY))
    get("http://nowhere.invalid/file", target)
    assert len(proxy.requests) == len(site.requests) == 1


def test_a_login_for_the_proxy_goes_to_the_proxy_and_into_no_message(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, site, http_proxy="http://me:secret@{address}")
    site.answers(reply("407 Proxy Authentication Required"))
    message = refusal("http://nowhere.invalid/file", target)
    assert "answered 407" in message
    assert "secret" not in message
    assert site.requests[0].headers["proxy-authorization"] == "basic bwu6c2vjcmv0"  # lower case
    assert "authorization" not in site.requests[0].headers


def test_https_goes_through_a_tunnel(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, site, https_proxy="http://me:secret@{address}")
    site.answers(reply("403 Forbidden"))
    message = refusal("https://nowhere.invalid/file", target, attempts=1)
    assert "403" in message
    assert f"(through the proxy {site.url.removesuffix('/file')})" in message
    (request,) = site.requests
    assert request.path == "nowhere.invalid:443"
    assert "proxy-authorization" in request.headers


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:port", "http://["])
def test_a_proxy_that_cannot_be_used_is_told_at_once(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    message = refusal(site.url, target)
    assert f"the proxy {proxy} cannot be used" in message
    assert "no_proxy" in message
    assert not site.requests


def test_which_proxy_an_address_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://a.invalid/") is None
    monkeypatch.setenv("http_proxy", "http://one:1")
    monkeypatch.setenv("https_proxy", "two:2")
    monkeypatch.setenv("no_proxy", "b.invalid, .c.invalid")
    assert proxy_for("http://a.invalid/") == "http://one:1"
    assert proxy_for("https://a.invalid:444/") == "http://two:2"
    for host in ("b.invalid", "me:secret@b.invalid:81", "x.c.invalid"):
        assert proxy_for(f"http://{host}/") is None
    monkeypatch.setenv("no_proxy", "*")
    assert proxy_for("https://a.invalid/") is None
