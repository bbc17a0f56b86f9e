"""A headless Chromium that is driven like a person drives it: keys and touches, by its own debugging protocol."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PATIENCE_S = 120.0


class Page:
    """The only tab of a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while (answer := json.loads(self._connection.recv(timeout=_PATIENCE_S))).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def value(self, script: str) -> Any:
        """What an expression comes to in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """What an expression comes to, once that is true."""
        end = time.monotonic() + _PATIENCE_S
        while not (found := self.value(script)):
            assert time.monotonic() < end, (script, self.value("document.body.innerText"))
            time.sleep(0.02)
        return found

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def tap(self, element_id: str) -> None:
        """Touch the middle of an element."""
        box = f"document.getElementById('{element_id}').getBoundingClientRect()"
        point = self.value(f"(box => ({{x: box.x + box.width / 2, y: box.y + box.height / 2}}))({box})")
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


@contextmanager
def opened(url: str, profile: Path) -> Iterator[Page]:
    """A browser that shows `url`, ended afterwards."""
    assert CHROMIUM
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--touch-events=enabled"]
    flags += ["--disable-dev-shm-usage"]  # which is small in many containers
    command = [CHROMIUM, *flags, f"--user-data-dir={profile}", "--window-size=390,700", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _PATIENCE_S
        told = profile / "DevToolsActivePort"
        while not (told.exists() and "\n" in told.read_text()):
            assert time.monotonic() < end, "the browser did not start"
            time.sleep(0.05)
        tabs: list[dict[str, Any]] = []
        while not tabs:
            address = f"http://127.0.0.1:{told.read_text().split()[0]}/json/list"
            found = httpx.get(address, trust_env=False, timeout=_PATIENCE_S).json()
            tabs = [tab for tab in found if tab["type"] == "page"]
            assert time.monotonic() < end, "the browser shows no page"
        patience: Any = {"open_timeout": _PATIENCE_S, "ping_interval": None}
        with connect(tabs[0]["webSocketDebuggerUrl"], max_size=None, proxy=None, **patience) as connection:
            yield Page(connection)
    finally:
        process.kill()
        process.wait()
