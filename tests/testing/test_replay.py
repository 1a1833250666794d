"""A recorded conversation is played back."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from aiozilliz import RetryPolicy, ServerError, ZillizClient
from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from pathlib import Path

PAGE = {"code": 0, "data": {"count": 3, "currentPage": 1, "pageSize": 2, "clusters": [{"clusterId": "a"}]}}


def ask(cloud: FakeZillizCloud, page: int = 1) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)) as connection:
        connection.request("GET", f"/v2/clusters?currentPage={page}", headers={"Authorization": "Bearer k"})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


async def record(url: str, path: Path, pages: int) -> None:
    """What the documentation shows, to record a service."""
    async with aiohttp.ClientSession() as session:
        with path.open("w", encoding="utf-8") as file:
            for page in range(1, pages + 1):
                params = {"currentPage": page, "pageSize": 100}
                headers = {"Authorization": "Bearer k"}
                async with session.get(f"{url}/v2/clusters", params=params, headers=headers) as response:
                    line = {
                        "page": page,
                        "status": response.status,
                        "headers": dict(response.headers),
                        "body": await response.text(),
                    }
                file.write(json.dumps(line) + "\n")


async def test_a_recorded_service_is_played_back_to_a_client(tmp_path: Path) -> None:
    path = tmp_path / "conversation.jsonl"
    async with FakeZillizCloud(250, seed=5) as service:
        await record(service.url, path, pages=3)
        expected = [record["clusterId"] for record in service.clusters]
    async with FakeZillizCloud(0) as cloud:
        cloud.replay(path)
        async with ZillizClient("other", base_url=cloud.url) as client:
            # Several pages are asked for at once, in no certain order.
            found = [cluster.cluster_id async for cluster in client.iter_clusters(concurrency=3)]
    assert found == expected


def test_an_answer_is_played_back_as_it_was_recorded() -> None:
    with FakeZillizCloud(9) as cloud:
        recorded: dict[str, Any] = {
            "page": 2,
            "url": "https://api.cloud.zilliz.com/v2/clusters",
            "status": 429,
            "headers": {
                "Content-Type": "text/plain",
                "Retry-After": "7",
                "requestid": "1f",
                "Date": "Sat, 28 Nov 2026 01:00:00 GMT",
                "content-encoding": "gzip",
                "Content-Length": "99",
                "Transfer-Encoding": "chunked",
                "Connection": "close",
            },
            "body": "too many \u2028 é",
        }
        cloud.replay([recorded])
        assert ask(cloud, 1)[0] == 501
        status, headers, body = ask(cloud, 2)
    assert (status, body.decode()) == (429, "too many \u2028 é")
    assert headers == {
        "Content-Type": "text/plain",
        "Retry-After": "7",
        "requestid": "1f",
        "Date": "Sat, 28 Nov 2026 01:00:00 GMT",
        "Content-Length": str(len(body)),
    }


def test_responses_come_in_order_each_once_and_the_rest_is_501_until_cleared() -> None:
    with FakeZillizCloud(9) as cloud:
        cloud.replay([{"status": status} for status in (200, 503, 404)])
        assert [ask(cloud)[0] for _ in range(5)] == [200, 503, 404, 501, 501]
        assert json.loads(ask(cloud)[2]) == {
            "code": 501,
            "message": "The recording has no response left for this request.",
        }
        cloud.clear_faults()
        assert ask(cloud)[0] == 200


def test_a_body_is_text_or_json_and_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    lines = [
        {"status": 200, "body": PAGE},
        {"status": 200, "body": "{"},
        {"status": 502},
        {"status": 200, "body": "line \u2028 é"},
    ]
    text = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(f"{text}\n\n", encoding="utf-8")
    with FakeZillizCloud(9) as cloud:
        cloud.replay(str(path))
        status, headers, body = ask(cloud)
        assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", PAGE)
        assert [ask(cloud)[2].decode() for _ in range(3)] == ["{", "", "line \u2028 é"]


def test_a_page_may_be_recorded_several_times() -> None:
    with FakeZillizCloud(9) as cloud:
        cloud.replay([{"page": page, "status": status} for page, status in ((1, 200), (2, 503), (2, 200))])
        assert [ask(cloud, page)[0] for page in (2, 1, 2, 2)] == [503, 200, 200, 501]


async def test_a_request_beyond_the_recording_is_an_error_for_a_client() -> None:
    async with FakeZillizCloud(9) as cloud:
        cloud.replay([{"status": 200, "body": PAGE}])
        async with ZillizClient("k", base_url=cloud.url, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(ServerError, match="no response left"):
                [cluster async for cluster in client.iter_clusters()]


def test_responses_that_were_not_asked_for_are_told_shortly() -> None:
    def use() -> None:
        with FakeZillizCloud(9) as cloud:
            cloud.replay([{"status": 200, "body": "x" * 10_000}, {"page": 2, "status": 200, "body": "y"}])

    with pytest.raises(AssertionError, match="Scripted faults that were not used: ") as caught:
        use()
    assert "body='y', headers={}) for page 2" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_fault_that_is_scripted_first_comes_first() -> None:
    with FakeZillizCloud(9) as cloud:
        cloud.fail_next(Fault.status(500))
        cloud.replay([{"status": 200}])
        assert [ask(cloud)[0] for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "Expecting property name"),
        ("7", "'int' object"),
        ("{}", "KeyError..status"),
        ('{"status": 99}', "between 200 and 599"),
        ('{"status": "200"}', "must be an int"),
        ('{"status": 200, "headers": {"X": "\\n"}}', "printable ASCII"),
        ('{"status": 200, "page": "one"}', "invalid literal"),
    ],
)
def test_what_can_not_be_read_is_told_with_its_number(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text(f'{{"status": 200}}\n\n{line}\n', encoding="utf-8")
    with FakeZillizCloud(1) as cloud:
        with pytest.raises(ValueError, match=f"Recorded response 2 can't be read: .*{told}"):
            cloud.replay(path)
        assert ask(cloud)[0] == 200  # nothing of it is played


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FakeZillizCloud(1).replay(tmp_path / "none")
