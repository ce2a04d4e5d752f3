"""What a web server answers: requests without surprises, redirects within bounds."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from urllib3 import PoolManager
    from urllib3.exceptions import HTTPError
    from urllib3.response import BaseHTTPResponse

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_MAY_PASS = (408, 429)
_NUMBER = re.compile(r"[0-9]{1,18}")


class BrokenOffError(Exception):
    """A request failed in a way that may pass; the server asked for a pause of so many seconds."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RefusedError(Exception):
    """A request failed, and another one for the same url would fail in the same way."""


@contextlib.contextmanager
def answer_to(url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[BaseHTTPResponse]:
    """Request ``url``, follow redirects, and yield an answer of status 200, 206 or 416.

    ``timeout_s`` limits connecting, and each silence after that.

    Raises:
        BrokenOffError: no connection, no answer in time, or a status that may pass.
        RefusedError: any other status, or a redirect that is not to be followed.
    """
    seen = [url]
    while True:
        with _request(seen[-1], headers, timeout_s) as response:
            if response.status not in _REDIRECTS:
                _check_status(response, ranged="Range" in headers)
                yield response
                return
            following = redirected(seen[-1], response.headers.get("location"))
        if following in seen:
            raise RefusedError(f"redirects in a circle, back to {shown(following)}")
        if len(seen) > _MOST_REDIRECTS:
            raise RefusedError(f"redirects more than {_MOST_REDIRECTS} times")
        seen.append(following)


def redirected(url: str, location: str | None) -> str:
    """Return the url that an answer from ``url`` leads on to.

    Raises:
        RefusedError: it leads nowhere, away from http and https, or from https to http.
    """
    if not location:
        raise RefusedError("redirects without saying where to")
    try:
        following = urljoin(url, location)
        before, after = urlsplit(url).scheme, urlsplit(following).scheme
    except ValueError as error:
        raise RefusedError(f"redirects to something that is not a url ({error})") from error
    if after not in ("http", "https"):
        raise RefusedError(f"redirects to {shown(following)}, which is neither http nor https")
    if before == "https" and after == "http":
        raise RefusedError(f"redirects from https to {shown(following)}, which is not encrypted")
    return following


def shown(url: str) -> str:
    """Return ``url`` without a user name and password, fit to be printed and stored."""
    return re.sub(r"//[^/?#]*@", "//", url, count=1)


def in_words(error: HTTPError) -> str:
    """Return what a broken connection broke of; urllib3 puts the cause behind its own words."""
    cause = error.args[-1] if error.args else None
    return f"connection broken: {cause!r}" if isinstance(cause, Exception) else str(error)


def body_bytes(response: BaseHTTPResponse) -> int | None:
    """Return the announced length of the answer's body, or None where it is not announced.

    Raises:
        BrokenOffError: what it announces is not a number.
    """
    text = response.headers.get("content-length")
    if text is None or is_chunked(response):
        return None
    length = whole_number(text)
    if length is None:
        raise BrokenOffError(f"announces a length that is not a number: {text[:40]!r}")
    return length


def is_chunked(response: BaseHTTPResponse) -> bool:
    """Return whether the body itself marks its end."""
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def whole_number(text: str | None) -> int | None:
    """Return a header's value as a number that is not negative, or None where it is none."""
    return int(text) if text and _NUMBER.fullmatch(text.strip()) else None


@contextlib.contextmanager
def _request(url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[BaseHTTPResponse]:
    """Open a connection of its own: what one answer left unread cannot be taken for the next."""
    from urllib3.exceptions import HTTPError, LocationValueError

    bare, login = _without_login(url)
    fixed = {"Accept-Encoding": "identity", "User-Agent": "sequential-harness"}
    proxy = proxy_for(url)
    through = f" (through the proxy {shown(proxy)})" if proxy else ""
    with _pool(proxy) as pool:
        try:
            response = pool.request(
                "GET",
                bare,
                headers={**fixed, **login, **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=timeout_s,
            )
        except LocationValueError as error:
            raise RefusedError(str(error)) from error
        except HTTPError as error:
            raise BrokenOffError(in_words(error) + through) from error
        try:
            yield response
        finally:
            response.close()


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for ``url``, or None where it names none.

    As everywhere: http_proxy, https_proxy or all_proxy, unless no_proxy excepts the host.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _pool(proxy: str | None) -> PoolManager:
    """Return what opens connections, through a proxy if there is one.

    Raises:
        RefusedError: the proxy's address is none that can be used.
    """
    from urllib3 import PoolManager, ProxyManager

    if proxy is None:
        return PoolManager(num_pools=1)
    try:
        bare, login = _without_login(proxy)
        headers = {f"Proxy-{name}": value for name, value in login.items()}
        return ProxyManager(bare, num_pools=1, proxy_headers=headers)
    except ValueError as error:  # urllib3's are of that kind too
        raise RefusedError(
            f"the proxy {shown(proxy)} cannot be used ({error}); correct http_proxy, https_proxy "
            "or all_proxy, or except the host by no_proxy"
        ) from error


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """Return ``url`` without user name and password, and the header that carries these instead."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return url, {}
    encoded = base64.b64encode(unquote(login).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {encoded}"}


def _check_status(response: BaseHTTPResponse, ranged: bool) -> None:
    status = response.status
    if status in (200, 206) or (status == 416 and ranged):
        return
    reason = f"answered {status} {response.reason or ''}".rstrip()
    if status in _MAY_PASS or status >= 500:
        raise BrokenOffError(reason, whole_number(response.headers.get("retry-after")) or 0)
    raise RefusedError(reason)
