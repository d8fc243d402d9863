"""Addresses in ``breakeven.yaml``, taken apart."""

from __future__ import annotations

import pytest

from breakeven.settings.address import is_loopback, read_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://API.openai.com/v1/", ("api.openai.com", 443, True, "api.openai.com", "/v1")),
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, False, "127.0.0.1:8000", "")),
        ("http://[::1]:80/a/b", ("::1", 80, False, "[::1]", "/a/b")),
        ("https://h:80", ("h", 80, True, "h:80", "")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: tuple[object, ...]) -> None:
    assert tuple(read_address(url)) == expected


@pytest.mark.parametrize(
    "url", ["https://", "https://h?x=1", "https://h#x", "https://h:0", "//h", "https://1.2.3", "https://[::1", "h"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host"):
        read_address(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("a.localhost", True),
        ("::ffff:127.0.0.1", True), ("::", False), ("10.0.0.1", False), ("localhost.example", False), ("h", False),
    ],
)  # fmt: skip
def test_loopback_is_what_this_machine_alone_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
