"""The fake's responses are as the OpenAPI description of the service says. `nox -s contract` makes up the requests."""

from __future__ import annotations

import http.client
import json
import re
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from aiozilliz.testing import FakeZillizCloud

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION: Any = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text("utf-8"))
OPERATION = DESCRIPTION["paths"]["/v2/clusters"]["get"]
RECORD: Any = DESCRIPTION["components"]["schemas"]["Cluster"]["properties"]
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}


def find_faults(schema: dict[str, Any], value: Any, place: str = "$") -> Iterator[str]:
    """What a value has against a schema, of as much of JSON Schema as the description uses."""
    rest, text = dict(schema), str(value)
    rest.pop("description", None)
    if reference := rest.pop("$ref", None):
        target = DESCRIPTION
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]
        yield from find_faults(target, value, place)
    if options := rest.pop("anyOf", None):
        faults = [list(find_faults(option, value, place)) for option in options]
        if all(faults):
            yield from chain.from_iterable(faults)
    named: Any = rest.pop("type", [])
    types: list[str] = [named] if isinstance(named, str) else named
    if types and (isinstance(value, bool) or not isinstance(value, tuple(TYPES[name] for name in types))):
        yield f"{place}: {value!r} is no {types}"
        return
    if value not in rest.pop("enum", [value]) or value != rest.pop("const", value):
        yield f"{place}: {value!r} is none of the values"
    fields: dict[str, Any] = value if isinstance(value, TYPES["object"]) else {}
    elements: list[Any] = value if isinstance(value, TYPES["array"]) else []
    properties, required = rest.pop("properties", {}), rest.pop("required", [])
    if value is fields:
        yield from (f"{place}: no {name}" for name in required if name not in fields)
    if properties:
        yield from (f"{place}: {name} is not described" for name in fields if name not in properties)
    for name in properties.keys() & fields.keys():
        yield from find_faults(properties[name], fields[name], f"{place}.{name}")
    items, most = rest.pop("items", {}), rest.pop("maxItems", len(elements))
    if len(elements) > most:
        yield f"{place}: more than {most}"
    for index, item in enumerate(elements):
        yield from find_faults(items, item, f"{place}[{index}]")
    if (pattern := rest.pop("pattern", None)) and not re.search(pattern, text):
        yield f"{place}: {value!r} is not {pattern}"
    low, high = rest.pop("minimum", value), rest.pop("maximum", value)
    if isinstance(value, int) and not low <= value <= high:
        yield f"{place}: {value} is not in range"
    assert not rest, f"A keyword that this does not know: {rest}"


def ask(
    cloud: FakeZillizCloud, query: str = "", method: str = "GET", path: str = "/v2/clusters"
) -> list[str]:
    """What the description has against a response."""
    with closing(http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)) as connection:
        connection.request(method, f"{path}?{query}", headers={"Authorization": "Bearer k"})
        response = connection.getresponse()
        body = json.loads(response.read())
    content = OPERATION["responses"][str(response.status)]["content"]
    return list(find_faults(content[response.getheader("Content-Type")]["schema"], body))


@pytest.mark.parametrize("shape", ["object", "array"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_made_up_record_is_as_described(shape: Any, seed: int) -> None:
    with FakeZillizCloud(500, shape=shape, seed=seed) as cloud:
        for page in range(1, 7):
            assert ask(cloud, f"pageSize=100&currentPage={page}") == []
        assert ask(cloud, "region=az-eastus") == []


@pytest.mark.parametrize("query", ["pageSize=0", "pageSize=101", "currentPage=0", "region=nowhere"])
def test_refusals_are_as_described(query: str) -> None:
    with FakeZillizCloud(3) as cloud:
        assert ask(cloud, query) == []


def test_other_statuses_are_as_described() -> None:
    with FakeZillizCloud(3, api_key="other") as cloud:
        assert ask(cloud) == []
        assert ask(cloud, method="POST") == []
        assert ask(cloud, path="/v2/cluster") == []
        cloud.rate_limit = 1
        assert [ask(cloud), ask(cloud)] == [[], []]
        assert [request.status for request in cloud.requests][:3] == [401, 405, 404]


def test_made_up_records_have_every_described_field_and_status() -> None:
    records = FakeZillizCloud(100).clusters
    assert all(record.keys() == RECORD.keys() for record in records)
    assert {record["status"] for record in records} == set(RECORD["status"]["enum"])


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("status", "SLEEPING", "is none of the values"),
        ("cuSize", "2", "is no ['integer']"),
        ("cuSize", 257, "is not in range"),
        ("cuSize", True, "is no ['integer']"),
        ("createTime", "yesterday", "is not ^"),
        ("globalClusterMeta", {"role": "PRIMARY"}, "no globalClusterId"),
        ("more", 1, "more is not described"),
    ],
)
def test_what_is_not_as_described_is_found(field: str, value: Any, fault: str) -> None:
    with FakeZillizCloud(1) as cloud:
        cloud.update(cloud.clusters[0]["clusterId"], **{field: value})
        assert any(fault in found for found in ask(cloud))
