"""A real browser, driven over a pipe by Chromium's own protocol: pages opened, looked at and pressed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 40.0
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
_AT_3_AND_4 = """
import fcntl, os, sys
for place, handle in enumerate([fcntl.fcntl(int(given), fcntl.F_DUPFD, 10) for given in sys.argv[1:3]], 3):
    os.dup2(handle, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


def found_browser() -> str | None:
    """Return a Chromium that starts: some distributions install a stub that only points to another package."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


class Browser:
    """One browser with one tab."""

    def __init__(self, path: str, profile: Path) -> None:
        heard, self._tell = os.pipe()
        self._hear, told = os.pipe()
        command = [sys.executable, "-c", _AT_3_AND_4, str(heard), str(told), path, *FLAGS, f"--user-data-dir={profile}"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, pass_fds=[heard, told], stdout=quiet, stderr=quiet)
        os.close(heard)
        os.close(told)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, url: str, until: str) -> None:
        """Open a page and wait until its text has these words."""
        self._call("Page.navigate", url=url)
        self.wait_for(until)

    def wait_for(self, words: str) -> None:
        """Wait until the page's text has these words."""
        until = time.monotonic() + PATIENCE_S
        while words not in (shown := self.run("document.body ? document.body.innerText : ''")):
            assert time.monotonic() < until, shown
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """Run a script in the page, past its policy; return what it is worth, nothing while a page loads."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return found.get("result", {}).get("value", "")

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._tell)
        os.close(self._hear)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            said["sessionId"] = self._session
        os.write(self._tell, json.dumps(said).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            message = self._message(until)
            if message.get("id") == self._number:
                result: dict[str, Any] = message.get("result", {})
                return result

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._hear], [], [], max(until - time.monotonic(), 0))[0], "the browser is silent"
            heard = os.read(self._hear, 1 << 16)
            assert heard, "the browser has ended"
            self._rest += heard
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextlib.contextmanager
def browsing(path: str, profile: Path) -> Iterator[Browser]:
    """A browser while the context lasts."""
    browser = Browser(path, profile)
    try:
        yield browser
    finally:
        browser.end()
