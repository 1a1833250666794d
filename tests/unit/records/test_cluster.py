"""Records: values, open enums, text, JSON and back."""

import copy
import inspect
import pickle
import time
import traceback
import typing
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from aiozilliz import Cluster, ClusterPage, ClusterStatus, CuType, DecodeError, Plan
from aiozilliz._records.cluster import WIRE_NAMES, structure_cluster, structure_clusters
from aiozilliz._records.frozen import EMPTY, MAX_DEPTH, FrozenDict, freeze, frozen_mapping, thaw
from aiozilliz._records.json import WrongValue
from tests.support import strategies as own

EXAMPLE: dict[str, Any] = {
    "clusterId": "inxx-xxxxxxxxxxxxxxx",
    "clusterName": "dedicated-3",
    "description": "",
    "regionId": "ali-cn-hangzhou",
    "plan": "Standard",
    "cuType": "Performance-optimized",
    "cuSize": 1,
    "status": "RUNNING",
    "connectAddress": "https://inxx-xxxxxxxxxxxxxxx.ali-cn-hangzhou.vectordb.zillizcloud.com:19530",
    "privateLinkAddress": "",
    "createTime": "2024-06-30T16:49:50Z",
    "projectId": "proj-xxxxxxxxxxxxxxxxxxxxxx",
}

CREATED = datetime(2024, 6, 30, 16, 49, 50, tzinfo=UTC)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def types_in(value: object) -> Any:
    if isinstance(value, dict):
        return {key: types_in(item) for key, item in typing.cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [types_in(item) for item in typing.cast("Iterable[Any]", value)]
    return type(value)


def test_the_documented_example_decodes_to_typed_values() -> None:
    cluster = Cluster.from_dict(EXAMPLE)
    assert cluster == Cluster(
        cluster_id="inxx-xxxxxxxxxxxxxxx",
        cluster_name="dedicated-3",
        region_id="ali-cn-hangzhou",
        plan=Plan.STANDARD,
        cu_type=CuType.PERFORMANCE_OPTIMIZED,
        cu_size=1,
        status=ClusterStatus.RUNNING,
        connect_address=EXAMPLE["connectAddress"],
        create_time=CREATED,
        project_id="proj-xxxxxxxxxxxxxxxxxxxxxx",
    )
    assert type(cluster.plan) is Plan
    assert type(cluster.cu_type) is CuType
    assert type(cluster.status) is ClusterStatus
    assert cluster.extra is EMPTY
    assert cluster.to_dict() == EXAMPLE


def test_to_dict_has_the_wire_names_in_the_documented_order_and_then_the_unknown_ones() -> None:
    record = {"zzz": 1, **EXAMPLE, "aaa": None}
    assert list(Cluster.from_dict(record).to_dict()) == [*EXAMPLE, "zzz", "aaa"]
    assert list(WIRE_NAMES.values()) == list(EXAMPLE)
    assert [*WIRE_NAMES, "extra"] == [field.name for field in attrs.fields(Cluster)]


def test_each_field_has_its_name_on_the_wire_in_its_metadata() -> None:
    fields: Any = attrs.fields(Cluster)
    assert [one.metadata.get("wire_name") for one in fields] == [*EXAMPLE, None]
    assert fields.cu_size.metadata["wire_name"] == WIRE_NAMES["cu_size"] == "cuSize"


@given(own.wire_records())
def test_a_record_survives_to_dict_and_from_dict_with_the_same_types(record: dict[str, Any]) -> None:
    cluster = Cluster.from_dict(record)
    written = cluster.to_dict()
    again = Cluster.from_dict(written)
    assert again == cluster
    assert hash(again) == hash(cluster)
    for name in WIRE_NAMES:
        assert type(getattr(again, name)) is type(getattr(cluster, name))
    assert types_in(again.to_dict()) == types_in(written)


@given(own.wire_records())
def test_nothing_of_a_record_is_lost(record: dict[str, Any]) -> None:
    written = Cluster.from_dict(record).to_dict()
    for name, value in record.items():
        if name == "createTime" and isinstance(written[name], str) and written[name] != value:
            assert Cluster.from_dict(record).create_time is not None
        elif value is None and name in EXAMPLE:
            assert written[name] in ("", 0, None)
        elif name == "createTime" and value == "":
            assert written[name] is None
        else:
            assert written[name] == value
            assert types_in(written[name]) == types_in(value)


@pytest.mark.parametrize("name", [name for name in EXAMPLE if name != "clusterId"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_an_absent_or_null_field_has_its_default(name: str, how: str) -> None:
    record: dict[str, Any] = {**EXAMPLE, name: None}
    if how == "absent":
        del record[name]
    cluster = Cluster.from_dict(record)
    default = {"cuSize": 0, "createTime": None}.get(name, "")
    attribute = next(attribute for attribute, wire in WIRE_NAMES.items() if wire == name)
    value = getattr(cluster, attribute)
    assert value == default
    assert type(value) is type(default)
    assert cluster.extra is EMPTY


def test_an_unknown_field_is_kept_also_where_a_known_one_is_absent() -> None:
    record: dict[str, Any] = {**EXAMPLE, "labels": {"team": ["a", {"b": 1}]}}
    del record["description"]
    assert len(record) == len(EXAMPLE)
    cluster = Cluster.from_dict(record)
    assert cluster.extra == {"labels": {"team": ["a", {"b": 1}]}}
    assert cluster.extra["labels"]["team"] == ("a", {"b": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clusterName", 12),
        ("description", True),
        ("regionId", ["a"]),
        ("plan", {"a": 1}),
        ("cuType", 1.5),
        ("cuSize", True),
        ("cuSize", 1.0),
        ("cuSize", "1"),
        ("cuSize", 1e300),
        ("status", 0),
        ("connectAddress", False),
        ("privateLinkAddress", []),
        ("createTime", 1719766190.0),
        ("createTime", True),
        ("createTime", {"at": 1719766190000}),
        ("projectId", {}),
    ],
)
def test_a_value_of_the_wrong_type_names_record_and_field(name: str, value: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        structure_clusters([EXAMPLE, EXAMPLE, {**EXAMPLE, name: value}, 5])
    error = caught.value
    assert (error.index, error.cluster_id, error.field) == (2, EXAMPLE["clusterId"], name)
    assert name in str(error)
    assert "Record 2" in str(error)
    assert error.advice
    assert error.__context__ is None
    assert not error.retryable


@pytest.mark.parametrize("value", [None, "", 12, True, [], {}])
def test_a_record_needs_an_id(value: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        Cluster.from_dict({**EXAMPLE, "clusterId": value})
    assert (caught.value.index, caught.value.cluster_id, caught.value.field) == (0, None, "clusterId")
    with pytest.raises(DecodeError, match="clusterId"):
        Cluster.from_dict({"clusterName": "a"})


@pytest.mark.parametrize("value", [None, 1, "text", [EXAMPLE], True])
def test_a_record_is_an_object(value: Any) -> None:
    with pytest.raises(DecodeError, match="must be an object") as caught:
        Cluster.from_dict(value)
    assert (caught.value.cluster_id, caught.value.field) == (None, None)


def test_a_long_wrong_value_is_not_quoted_and_a_long_id_is_cut() -> None:
    with pytest.raises(DecodeError) as caught:
        Cluster.from_dict({**EXAMPLE, "clusterId": "i" * 10_000, "cuSize": "secret" * 100})
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.cluster_id == "i" * 499 + "…"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-06-30T16:49:50Z", CREATED),
        ("2024-06-30T16:49:50", CREATED),
        ("2024-06-30T16:49:50+00:00", CREATED),
        ("2024-06-30T18:49:50+02:00", CREATED),
        ("2024-06-30T16:49:50.250Z", CREATED + timedelta(milliseconds=250)),
        ("2024-06-30", CREATED.replace(hour=0, minute=0, second=0)),
        ("", None),
        (None, None),
    ],
)
def test_create_time_is_aware_and_in_utc(text: str | None, moment: datetime | None) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": text})
    assert cluster.create_time == moment
    assert cluster.create_time is None or cluster.create_time.tzinfo is UTC
    assert cluster.extra is EMPTY


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system can't change the zone of a process")
def test_a_time_without_an_offset_is_in_utc_wherever_the_client_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        cluster = Cluster.from_dict({**EXAMPLE, "createTime": "2024-06-30T16:49:50"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert cluster.create_time == CREATED


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-06-31T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        " ",
        "\ud83d",
    ],
)
def test_text_that_is_no_date_stays_in_extra(text: str) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": text})
    assert cluster.create_time is None
    assert cluster.extra == {"createTime": text}
    assert cluster.to_dict() == {**EXAMPLE, "createTime": text}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1719766190000, "2024-06-30T16:49:50Z"),
        (1719766190250, "2024-06-30T16:49:50.250000Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999000Z"),
        (-62135596800000, "0001-01-01T00:00:00Z"),
        (253402300799999, "9999-12-31T23:59:59.999000Z"),
    ],
)
def test_an_integer_create_time_is_milliseconds_since_the_epoch(number: int, text: str) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": number})
    assert cluster.create_time == datetime.fromisoformat(text)
    assert cluster.create_time is not None
    assert cluster.create_time.tzinfo is UTC
    assert cluster.extra is EMPTY
    assert cluster.to_dict() == {**EXAMPLE, "createTime": text}
    assert Cluster.from_dict(cluster.to_dict()) == cluster


@pytest.mark.parametrize("number", [-62135596800001, 253402300800000, 2**63, -(10**30), 10**400])
def test_an_integer_that_is_no_date_stays_in_extra(number: int) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": number})
    assert cluster.create_time is None
    assert cluster.extra == {"createTime": number}
    assert cluster.to_dict() == {**EXAMPLE, "createTime": number}
    assert Cluster.from_dict(cluster.to_dict()) == cluster
    assert attrs.evolve(cluster, status="STOPPED").extra == cluster.extra


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-06-30T16:49:50.1234567Z", 123456),
        ("2024-06-30T16:49:50.000000001Z", 0),
        ("2024-06-30T16:49:50.123456789+00:00", 123456),
        ("2024-06-30T18:49:50.123456789+02:00", 123456),
        ("20240630T164950,1234567Z", 123456),
    ],
)
def test_digits_beyond_microseconds_stay_in_extra(text: str, microsecond: int) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": text})
    assert cluster.create_time == CREATED.replace(microsecond=microsecond)
    assert cluster.create_time is not None
    assert cluster.create_time.tzinfo is UTC
    assert cluster.extra == {"createTime": text}
    assert cluster.to_dict() == {**EXAMPLE, "createTime": text}
    assert Cluster.from_dict(cluster.to_dict()) == cluster
    assert attrs.evolve(cluster, status="STOPPED").extra == cluster.extra
    with pytest.raises(ValueError, match="createTime"):
        attrs.evolve(cluster, create_time=CREATED.replace(year=2025))


@pytest.mark.parametrize("text", ["2024-06-30T16:49:50.000000000Z", "2024-06-30T16:49:50.00000000+00:00"])
def test_zeros_beyond_microseconds_say_nothing(text: str) -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "createTime": text})
    assert cluster.create_time == CREATED
    assert cluster.extra is EMPTY


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (CREATED, "2024-06-30T16:49:50Z"),
        (CREATED.replace(microsecond=1), "2024-06-30T16:49:50.000001Z"),
        (CREATED.astimezone(timezone(timedelta(hours=5))), "2024-06-30T16:49:50Z"),
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (None, None),
    ],
)
def test_create_time_is_written_as_the_service_writes_it(moment: datetime | None, text: str | None) -> None:
    assert Cluster(cluster_id="a", create_time=moment).to_dict()["createTime"] == text


def test_only_the_id_is_required_and_the_rest_has_the_wires_defaults() -> None:
    assert Cluster(cluster_id="a") == Cluster.from_dict({"clusterId": "a"})


def test_the_constructor_knows_the_enums_and_freezes_extra() -> None:
    labels = {"a": ["b"]}
    cluster = Cluster(
        cluster_id="a", plan="Free", cu_type="other", status="RUNNING", extra={"labels": labels}
    )
    assert cluster.plan is Plan.FREE
    assert (cluster.cu_type, type(cluster.cu_type)) == ("other", str)
    assert cluster.status is ClusterStatus.RUNNING
    labels["a"].append("c")
    assert cluster.extra["labels"]["a"] == ("b",)
    assert Cluster(cluster_id="a", extra={}).extra is EMPTY


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cluster_id": ""}, "must not be empty"),
        ({"create_time": datetime(2024, 1, 1)}, "time zone"),  # noqa: DTZ001 - this is the point
        ({"extra": {"clusterName": "b"}}, "clusterName"),
        ({"extra": {"createTime": "2024-06-30"}}, "createTime"),
        ({"extra": {"createTime": ""}}, "createTime"),
        ({"extra": {"createTime": None}}, "createTime"),
        ({"extra": {"createTime": "yesterday"}, "create_time": CREATED}, "createTime"),
        ({"extra": {"createTime": "2024-06-30T16:49:50.1234567Z"}}, "createTime"),
        ({"extra": {"createTime": 1719766190000}}, "createTime"),
        ({"extra": {"createTime": 1719766190000}, "create_time": CREATED}, "createTime"),
        ({"extra": {"createTime": True}}, "createTime"),
        ({"extra": {"a": nested(MAX_DEPTH)}}, "deep"),
        ({"extra": {"a": float("nan")}}, "no JSON number"),
    ],
)
def test_the_constructor_refuses_what_would_not_come_back(fields: dict[str, Any], reason: str) -> None:
    all_fields: dict[str, Any] = {"cluster_id": "a", **fields}
    with pytest.raises(ValueError, match=reason):
        Cluster(**all_fields)


def test_the_constructor_takes_a_datetime_only() -> None:
    moment: Any = "2024-06-30T16:49:50Z"
    with pytest.raises(TypeError, match="create_time must be a datetime, not str"):
        Cluster(cluster_id="a", create_time=moment)


@pytest.mark.parametrize("extra", [{1: 2}, {"a": {1, 2}}, {"a": [object()]}, {"a": {2: 3}}])
def test_extra_takes_json_only(extra: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="JSON"):
        Cluster(cluster_id="a", extra=extra)
    with pytest.raises(DecodeError):
        Cluster.from_dict({"clusterId": "a", **extra})


def test_an_unknown_field_nested_too_deep_is_named() -> None:
    with pytest.raises(DecodeError, match="deep") as caught:
        Cluster.from_dict({**EXAMPLE, "odd": nested(MAX_DEPTH)})
    assert caught.value.field == "odd"


def test_the_deepest_unknown_field_can_be_used_in_every_way() -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "odd": nested(MAX_DEPTH - 1)})
    assert pickle.loads(pickle.dumps(cluster)) == cluster
    assert copy.deepcopy(cluster) == cluster
    assert hash(cluster.extra)
    assert len(repr(cluster)) <= 500
    assert Cluster.from_dict(cluster.to_dict()) == cluster


def test_extra_counts_in_equality_but_not_in_the_hash() -> None:
    one, other = Cluster(cluster_id="a", extra={"x": 1}), Cluster(cluster_id="a", extra={"x": 2})
    assert one != other
    assert hash(one) == hash(other)
    assert {one, Cluster(cluster_id="a", extra={"x": 1})} == {one}
    assert hash(one) != hash(Cluster(cluster_id="b"))


@given(own.clusters(), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_records_can_be_pickled_and_copied(cluster: Cluster, protocol: int) -> None:
    for twin in (pickle.loads(pickle.dumps(cluster, protocol)), copy.copy(cluster), copy.deepcopy(cluster)):
        assert twin == cluster
        assert twin.to_dict() == cluster.to_dict()
        assert type(twin.plan) is type(cluster.plan)
    page = ClusterPage(clusters=(cluster,), count=3)
    assert pickle.loads(pickle.dumps(page, protocol)) == page


def test_an_empty_extra_stays_the_shared_one_through_pickle_and_copy() -> None:
    cluster = Cluster(cluster_id="a")
    assert pickle.loads(pickle.dumps(cluster)).extra is EMPTY
    assert copy.deepcopy(cluster).extra is EMPTY


@pytest.mark.parametrize("kind", [Cluster, ClusterPage])
def test_records_are_frozen_and_slotted(kind: type[Cluster] | type[ClusterPage]) -> None:
    record: Any = Cluster(cluster_id="a") if kind is Cluster else ClusterPage()
    assert not hasattr(record, "__dict__")
    for field in attrs.fields(kind):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)


@given(own.clusters())
def test_repr_is_one_printable_line_of_at_most_500_characters(cluster: Cluster) -> None:
    line = repr(cluster)
    assert len(line) <= 500
    assert line.isprintable()
    assert line.encode()


def test_repr_of_a_record_full_of_long_values_shows_every_field() -> None:
    long = dict.fromkeys(EXAMPLE, "\x1b\ud83d" * 1000)
    cluster = Cluster.from_dict({**long, "cuSize": 10**400, "createTime": None, "odd": "x" * 1000})
    line = repr(attrs.evolve(cluster, create_time=CREATED.replace(microsecond=123456)))
    assert len(line) <= 500
    assert line.isprintable()
    for name in [*WIRE_NAMES, "extra"]:
        assert f"{name}=" in line


def test_repr_shows_short_values_whole_and_leaves_out_empty_ones() -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "labels": {"a": ["b"]}})
    assert repr(cluster) == (
        "Cluster(cluster_id='inxx-xxxxxxxxxxxxxxx', cluster_name='dedicated-3', region_id='ali-cn-hangzhou', "
        "plan='Standard', cu_type='Performance-optimized', cu_size=1, status='RUNNING', "
        "connect_address='https://inxx-xxxxxxxxxxxxxxx.ali-cn-hangzhou.vectordb.zillizcloud.com:19530', "
        "create_time=2024-06-30T16:49:50Z, project_id='proj-xxxxxxxxxxxxxxxxxxxxxx', "
        "extra={'labels': {'a': ['b']}})"
    )


def test_repr_outlives_an_integer_without_decimal_text() -> None:
    assert repr(Cluster(cluster_id="a", cu_size=10**10_000)) == "Cluster(cluster_id='a', cu_size=…)"


def test_repr_of_a_page_shows_how_many_of_how_many() -> None:
    clusters = tuple(Cluster(cluster_id=str(number)) for number in range(100))
    page = ClusterPage(clusters=clusters, count=250, current_page=2)
    assert repr(page) == "ClusterPage(100 of 250, current_page=2, page_size=100)"
    assert "0 of an unknown number" in repr(ClusterPage())
    assert len(repr(ClusterPage(count=10**10_000, current_page=10**3000))) <= 500


def test_a_page_holds_a_tuple() -> None:
    assert ClusterPage(clusters=[Cluster(cluster_id="a")]).clusters == (Cluster(cluster_id="a"),)


@pytest.mark.parametrize("kind", [Plan, CuType, ClusterStatus])
def test_members_are_named_after_their_values(kind: type[Plan]) -> None:
    for member in kind:
        assert member.name.replace("_", "").lower() == member.value.replace("-", "").replace("_", "").lower()
        assert member == member.value
        assert f"{member}" == member.value
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(member, protocol)) is member


def test_an_unknown_text_of_an_open_enum_stays_a_plain_text() -> None:
    cluster = Cluster.from_dict({**EXAMPLE, "plan": "BYOC", "cuType": "", "status": "running"})
    assert (cluster.plan, cluster.cu_type, cluster.status) == ("BYOC", "", "running")
    assert {type(cluster.plan), type(cluster.cu_type), type(cluster.status)} == {str}


def test_to_dict_gives_plain_types_that_every_json_and_yaml_writer_knows() -> None:
    written = Cluster.from_dict({**EXAMPLE, "labels": {"a": [1, {"b": None}]}}).to_dict()
    assert {type(value) for value in written.values()} == {str, int, dict}
    assert types_in(written["labels"]) == {"a": [int, {"b": type(None)}]}


def test_from_dict_takes_any_mapping_and_enum_members() -> None:
    record = FrozenDict({**EXAMPLE, "status": ClusterStatus.RUNNING})
    assert Cluster.from_dict(record) == Cluster.from_dict(EXAMPLE)
    name = Cluster.from_dict({**EXAMPLE, "clusterName": Plan.FREE}).cluster_name
    assert (name, type(name)) == ("Free", str)


@pytest.mark.parametrize("kind", [Cluster, ClusterPage])
def test_type_hints_can_be_read_under_the_public_module_name(
    kind: type[Cluster] | type[ClusterPage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "__module__", "aiozilliz")
    assert set(typing.get_type_hints(kind)) == {field.name for field in attrs.fields(kind)}
    assert typing.get_type_hints(kind.__init__)
    record = Cluster(cluster_id="a") if kind is Cluster else ClusterPage()
    assert pickle.loads(pickle.dumps(record)) == record


# The read-only mapping.


@given(own.unknown_fields)
def test_a_frozen_mapping_equals_what_it_was_made_of_and_thaws_into_it(items: dict[str, Any]) -> None:
    made = FrozenDict(items)
    assert made == items
    assert items == made
    assert thaw(made) == items
    assert types_in(thaw(made)) == types_in(items)
    assert hash(made) == hash(FrozenDict(items))
    assert dict(made.items()) == dict(zip(made.keys(), made.values(), strict=True))


@given(own.unknown_fields, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_a_frozen_mapping_can_be_pickled_and_copied(items: dict[str, Any], protocol: int) -> None:
    made = FrozenDict(items)
    assert pickle.loads(pickle.dumps(made, protocol)) == made
    assert copy.copy(made) is made
    assert copy.deepcopy(made) is made


def test_a_frozen_mapping_can_not_be_changed() -> None:
    made: Any = FrozenDict({"a": [1]})
    with pytest.raises(TypeError):
        made["b"] = 1
    with pytest.raises(TypeError):
        del made["a"]
    with pytest.raises(AttributeError, match="read-only"):
        made._items = {}
    with pytest.raises(AttributeError, match="read-only"):
        del made._items
    with pytest.raises(AttributeError, match="read-only"):
        made.other = 1
    with pytest.raises(AttributeError, match="read-only"):
        made.__init__({"b": 1})
    assert made == {"a": [1]}


def test_a_frozen_mapping_does_not_follow_its_source() -> None:
    source: dict[str, Any] = {"a": {"b": [1]}}
    made = FrozenDict(source)
    source["a"]["b"].append(2)
    source["c"] = 3
    assert thaw(made) == {"a": {"b": [1]}}


@pytest.mark.parametrize("other", [{"a": 2}, {"a": {1}}, {1: 1}, {}, [("a", 1)], None])
def test_a_frozen_mapping_differs_from_other_content(other: object) -> None:
    assert FrozenDict({"a": 1}) != other


def test_a_frozen_mapping_shows_its_content_in_plain_form() -> None:
    assert repr(FrozenDict({"a": [{"b": 1}]})) == "FrozenDict({'a': [{'b': 1}]})"


def test_freezing_twice_gives_the_same_object_and_nothing_gives_the_shared_one() -> None:
    made = frozen_mapping({"a": 1})
    assert frozen_mapping(made) is made
    assert frozen_mapping({}) is EMPTY
    assert isinstance(EMPTY, Mapping)
    assert freeze(({"a": ()},)) == (FrozenDict({"a": ()}),)


def test_decoding_gives_what_the_constructor_gives() -> None:
    decoded = Cluster.from_dict({"clusterId": "in01-a", "plan": "Free", "createTime": "2024-06-30T16:49:50Z"})
    built = Cluster(
        cluster_id="in01-a", plan="Free", create_time=datetime(2024, 6, 30, 16, 49, 50, tzinfo=UTC)
    )

    assert type(decoded) is Cluster
    assert decoded == built
    assert hash(decoded) == hash(built)
    assert pickle.loads(pickle.dumps(decoded)) == built
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        decoded.plan = "other"  # type: ignore[misc]  # that is the point


def test_the_code_of_the_decoder_can_be_read_and_stands_in_tracebacks() -> None:
    with pytest.raises(WrongValue) as caught:
        structure_cluster({**EXAMPLE, "clusterId": ""})
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].line == 'raise mismatch("a text that is not empty", cluster_id, "clusterId")'
    *_, last = traceback.walk_tb(caught.value.__traceback__)
    assert "draft.cluster_name = cluster_name\n" in inspect.getsource(last[0])
