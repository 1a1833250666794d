"""Records: all fields, absent and null ones, values nobody has documented, and those that can't be decoded."""

from __future__ import annotations

from typing import Any

from tests.golden.conversation import Conversation, Iterate
from tests.golden.services import Answer, Script, record, records

WHOLE = Iterate(page_size=50, whole=True)


def one(name: str, *given: Any) -> Conversation:
    return Conversation(f"record: {name}", Script((records(*given),)), WHOLE)


FULL = {
    "clusterId": "in01-1",
    "clusterName": "prod",
    "description": "Käse \u2603 \U0001f600",
    "regionId": "aws-us-west-2",
    "plan": "Standard",
    "cuType": "Performance-optimized",
    "cuSize": 2,
    "status": "RUNNING",
    "connectAddress": "https://in01-1.example.com:19530",
    "privateLinkAddress": "https://pl.example.com",
    "createTime": "2024-05-06T07:08:09Z",
    "projectId": "proj-1",
}

TIMES = (
    "2024-05-06T07:08:09.123456Z",
    "2024-05-06T07:08:09.123456789Z",
    "2024-05-06T09:08:09+02:00",
    "2024-05-06T07:08:09",
    "2024-05-06 07:08:09",
    "2024-05-06",
    "yesterday",
    "",
    "9999-99-99T00:00:00Z",
    None,
)

WRONG: dict[str, Any] = {
    "no id": {"clusterName": "x"},
    "empty id": record(""),
    "null id": record("", clusterId=None),
    "numeric id": {"clusterId": 7},
    "text cuSize": record("b", cuSize="2"),
    "boolean cuSize": record("b", cuSize=True),
    "half cuSize": record("b", cuSize=1.5),
    "numeric name": record("b", clusterName=3),
    "list status": record("b", status=["RUNNING"]),
    "object createTime": record("b", createTime={"at": 1}),
    "null": None,
    "text": "in01-2",
    "list": ["in01-2"],
}

CONVERSATIONS = [
    one("full", FULL),
    one("only an id", record("a")),
    one("all null", {**dict.fromkeys(FULL), "clusterId": "a"}),
    one(
        "unknown fields",
        record(
            "a", deploymentOption="BYOC", nested={"list": [1, {"x": None}], "on": True}, rate=0.5, none=None
        ),
    ),
    one("unknown plan, type and status", record("a", plan="Galactic", cuType="Quantum", status="PONDERING")),
    one("plan and status in another case", record("a", plan="standard", status="running")),
    one("times", *(record(f"t{n}", createTime=time) for n, time in enumerate(TIMES))),
    one(
        "large and negative numbers",
        record("a", cuSize=2**53),
        record("b", cuSize=-1),
        record("c", big=2**63),
    ),
    one("cuSize is a whole float", record("a", cuSize=2.0)),
    one("control characters", record("a\u202eb", clusterName="x\x1b[31m\ny\u0000")),
    *(one(f"{name} is an error", record("a"), wrong) for name, wrong in WRONG.items()),
    Conversation(
        "record: an error on the second page comes after the first page",
        Script((records(record("a"), record("b"), count=3), records(record("c", cuSize="x"), count=3))),
    ),
    Conversation(
        "record: twice, with other values",
        Script(
            (
                records(record("a", status="RUNNING"), record("b"), count=3),
                records(record("a", status="SUSPENDED"), count=3),
                records(count=3),
                records(record("a", status="SUSPENDED"), record("b"), count=3),
                records(record("c"), count=3),
            )
        ),
        Iterate(whole=True),
    ),
    Conversation(
        "record: a name of a field twice in JSON",
        Script((Answer(b'{"code":0,"data":{"count":1,"clusters":[{"clusterId":"a","clusterId":"b"}]}}'),)),
    ),
]
