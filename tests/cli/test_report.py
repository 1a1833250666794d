from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Cluster, InventoryReport, Snapshot, TransportError
from tests.support.running import environment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.support.running import Run

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVIL = "<script>document.title='broken into'</script>\u202e\x1b[2J\"'&lt;"
A = Cluster("in01-a", EVIL, status="RUNNING", plan="Standard", cu_size=10, region_id="aws-us-west-2")
B = Cluster("in01-b", "beta", status="STOPPED", plan="Free", cu_size=9, region_id="aws-us-west-2")
C = Cluster("in01-c", "x" * 500, status="</td>", plan="Free", region_id="gcp-us-west1")
OLD = InventoryReport(
    {"Acme": Snapshot((A, C), NOW, 1, consistent=True), "Bee": Snapshot((B,), NOW, 1, consistent=True)},
    {},
    NOW,
)
NEW = InventoryReport(
    {"Acme": Snapshot((A, B, C), NOW, 1, consistent=False), "E<vil": Snapshot((A,), NOW, 1, consistent=True)},
    {"Bee": TransportError("it <b>broke</b>")},
    NOW,
)


@pytest.fixture
def page(tmp_path: Path, run: Run) -> Path:
    """Write the page about a report with everything that is odd."""
    for name, report in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.json").write_text(report.to_json(), "utf-8")
    file = tmp_path / "page.html"

    files = ("--from", str(tmp_path / "new.json"), "--since", str(tmp_path / "old.json"))
    assert run("report", *files, "-o", str(file))[0] == 4
    return file


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_says_what_failed_what_is_unproven_and_what_changed(page: Path) -> None:
    text = page.read_text("utf-8")

    assert "<strong><bdi>Bee</bdi></strong>: failed: TransportError: it &lt;b&gt;broke&lt;/b&gt;" in text
    assert "<strong><bdi>Acme</bdi></strong>: the list could not be proven complete" in text
    assert re.search(r'class="added"><b>added</b> <bdi>Acme</bdi> <bdi>beta</bdi> <code>in01-b</code>', text)
    assert "<bdi>E&lt;vil</bdi>: only in now" in text
    assert "<bdi>Bee</bdi>: failed in now" in text


def test_it_loads_nothing_and_only_its_own_script_may_run(page: Path) -> None:
    text = page.read_text("utf-8")
    found = Page(text)

    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not {"img", "link", "iframe", "object", "a", "form"} & {tag for tag, _ in found.tags}
    assert not [
        a for _, a in found.tags if {"src", "href", "style"} & a.keys() or any(n.startswith("on") for n in a)
    ]
    (policy,) = [a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a]
    for tag in ("script", "style"):
        content = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'; ")
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_one_account_has_no_account_column_and_a_proven_page_says_so(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"

    assert run("report", "--demo", "-o", str(file)) == (0, "", "")

    text = file.read_text("utf-8")
    assert text.count("<tr>\n<td") == 250
    assert "Account" not in text
    assert "Every list was proven complete." in text
    assert "Changes since" not in text
    assert run("report", "--demo", "-o", "-")[1].count("<tr>\n<td") == 250


def test_without_jinja_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['jinja2'] = None; from aiozilliz.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "report", "--demo", "-o", "page.html"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'aiozilliz[report]'" in done.stderr


# In a browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


class Browser:
    """A browser, by the WebDriver protocol of the W3C."""

    def __init__(self, url: str) -> None:
        self._url = url
        options = {
            "binary": BROWSER,
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        }
        wanted = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
        }
        self._session = (
            f"{url}/session/{self._send('POST', f'{url}/session', {'capabilities': wanted})['sessionId']}"
        )

    def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  # on loopback
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, file: Path) -> None:
        self._send("POST", f"{self._session}/url", {"url": file.as_uri()})

    def run(self, script: str) -> Any:
        return self._send("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def resize(self, width: int, height: int = 900) -> None:
        self._send("POST", f"{self._session}/window/rect", {"width": width, "height": height})

    def log(self) -> Any:
        return self._send("POST", f"{self._session}/se/log", {"type": "browser"})

    def close(self) -> None:
        self._send("DELETE", self._session)


@pytest.fixture
def browser() -> Generator[Browser, None, None]:
    if BROWSER is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here")
    with driver(DRIVER) as url:
        found = Browser(url)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def driver(program: str) -> Generator[str, None, None]:
    with subprocess.Popen([program, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if started := re.search(r"started successfully on port (\d+)", line):
                    yield f"http://127.0.0.1:{started[1]}"
                    break
        finally:
            process.kill()


ROWS = "return [...document.querySelectorAll('#table tbody tr')]"


def test_in_a_browser_the_table_can_be_searched_and_sorted(page: Path, browser: Browser) -> None:
    browser.open(page)

    assert browser.run("return document.title") == "Zilliz Cloud clusters"
    assert browser.run("return document.getElementById('shown').textContent") == "4 clusters"
    search = (
        "const s = document.getElementById('search'); s.value = {!r}; s.dispatchEvent(new Event('input'));"
    )
    browser.run(search.format("STOPPED acme"))
    assert browser.run(f"{ROWS}.filter((r) => !r.hidden).map((r) => r.cells[2].textContent)") == ["in01-b"]
    assert browser.run("return document.getElementById('shown').textContent") == "1 of 4 clusters"
    browser.run(search.format(""))
    click = (
        "[...document.querySelectorAll('#table thead button')].find((b) => b.textContent == {!r}).click();"
    )
    browser.run(click.format("CU"))
    assert browser.run(f"{ROWS}.map((r) => r.cells[5].textContent)") == ["0", "9", "10", "10"]
    browser.run(click.format("CU"))
    assert browser.run(f"{ROWS}.map((r) => r.cells[5].textContent)") == ["10", "10", "9", "0"]
    assert (
        browser.run("return document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    )
    assert browser.log() == []  # neither an error, nor anything that the policy had to refuse


@pytest.mark.parametrize("width", [500, 900, 1400])  # the browser's window is no narrower than the first
def test_in_a_browser_nothing_is_wider_than_the_page(page: Path, browser: Browser, width: int) -> None:
    browser.resize(width)
    browser.open(page)

    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
