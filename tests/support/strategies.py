"""Hypothesis strategies: what the wire can bring, from single values to whole bodies, and records made of it."""

import json
from typing import Any

from hypothesis import strategies as st

from aiozilliz import ClusterStatus, CuType, Plan
from aiozilliz._records.cluster import WIRE_NAMES, Cluster, ClusterPage

_MAX_INT = 2**63 - 1

texts = st.text(st.characters(), max_size=20) | st.text(st.characters(exclude_categories=()), max_size=5)
"""Any text, lone surrogates and control characters included."""

ids = texts.filter(bool) | st.from_regex(r"in0[1357]-[0-9a-f]{15}", fullmatch=True)

times = (
    st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat() + "Z")
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.datetimes().map(lambda moment: moment.isoformat() + "+05:30")
    | st.sampled_from(
        ["", "2024-06-30", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "yesterday"]
    )
    | st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "789Z")
    | texts
)
"""Texts of `createTime`: dates, what a `datetime` can't hold, and what is no date."""

numeric_times = st.integers(0, 4 * 10**12) | st.integers(-_MAX_INT, _MAX_INT)
"""Milliseconds since the epoch, and numbers that are no date."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-_MAX_INT, _MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)

_LIKELY_UNKNOWN = {
    "deploymentOption": st.sampled_from(["Free", "Serverless", "Dedicated"]),
    "globalClusterMeta": st.none() | st.fixed_dictionaries({"globalClusterId": texts, "role": texts}),
    "labels": st.dictionaries(texts, texts, max_size=3),
    "replica": st.integers(1, 9) | texts,
}
unknown_fields = st.fixed_dictionaries({}, optional=_LIKELY_UNKNOWN) | st.dictionaries(
    texts.filter(lambda name: name not in WIRE_NAMES.values()), json_values, max_size=3
)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "clusterName": texts,
    "description": texts,
    "regionId": texts,
    "plan": st.sampled_from([*map(str, Plan), "Business Critical"]) | texts,
    "cuType": st.sampled_from(["", *map(str, CuType)]) | texts,
    "cuSize": st.integers(0, 256) | st.integers(-_MAX_INT, _MAX_INT),
    "status": st.sampled_from([*map(str, ClusterStatus), "running"]) | texts,
    "connectAddress": texts,
    "privateLinkAddress": texts,
    "createTime": times | numeric_times,
    "projectId": texts,
}


@st.composite
def wire_records(draw: st.DrawFn) -> dict[str, Any]:
    """Records as the service may send them: any field but the id absent, null or odd, in any order."""
    optional = {name: st.none() | values for name, values in _FIELDS.items()}
    record: dict[str, Any] = draw(st.fixed_dictionaries({"clusterId": ids}, optional=optional))
    record |= draw(unknown_fields)
    return dict(draw(st.permutations(list(record.items()))))


def clusters() -> st.SearchStrategy[Cluster]:
    """Records, as decoded."""
    return wire_records().map(Cluster.from_dict)


def pages() -> st.SearchStrategy[ClusterPage]:
    """Pages of up to five clusters, with a `count` that may not fit."""
    return st.builds(
        ClusterPage,
        clusters=st.lists(clusters(), max_size=5).map(tuple),
        count=st.none() | st.integers(0, 1000),
        current_page=st.integers(1, 1000),
        page_size=st.integers(1, 100),
    )


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Any]:
    """Successful answers in each documented shape."""
    records = draw(st.lists(wire_records(), max_size=4))
    envelope: dict[str, Any] = draw(
        st.fixed_dictionaries({}, optional={"code": st.sampled_from([0, 200, None])})
    )
    if draw(st.booleans()):
        return {**envelope, "data": records}
    listing: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "count": st.none() | st.integers(0, 1000),
                "currentPage": scalars,
                "pageSize": scalars,
            },
        )
    )
    return {**envelope, "data": {**listing, "clusters": records}}


def bodies() -> st.SearchStrategy[bytes]:
    """Good answers as bytes. Lone surrogates travel as escapes, as a real service sends them."""
    return envelopes().map(lambda envelope: json.dumps(envelope).encode())


@st.composite
def broken_bodies(draw: st.DrawFn) -> bytes:
    """Good answers with some bytes cut, changed or put in."""
    body = draw(bodies())
    start = draw(st.integers(0, len(body)))
    stop = draw(st.integers(start, min(len(body), start + 20)) | st.just(len(body)))
    return body[:start] + draw(st.binary(max_size=8)) + body[stop:]
