"""The one cattrs converter: everything that this package writes and reads back, and clusters within other classes.

Left to itself cattrs calls `str(12)` and `int(True)`. Here a value of the wrong type is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from inspect import isclass
from typing import Any, Final, TypeVar, cast, get_args, get_origin

from attrs import fields
from cattrs import Converter

from aiozilliz._errors import DecodeError, ZillizError
from aiozilliz._public import public
from aiozilliz._records.cluster import WIRE_NAMES, Cluster, structure_cluster, structure_clusters
from aiozilliz._records.json import WrongValue, describe, format_time, mismatch, parse_time
from aiozilliz._records.report import InventoryReport, failure_text
from aiozilliz._records.snapshot import Snapshot

FORMAT_VERSION: Final = 1
"""Version of the JSON text of a snapshot, and of a report."""

_ORDER: Final = ("taken_at", "requests", "consistent", "failures", "snapshots", "clusters")
"""The fields of snapshots and reports as they are written, after the version: what is short is first."""

_OTHERS: Final = {
    "clusters": ("snapshots", "it is an inventory report; read it with InventoryReport.from_json"),
    "snapshots": ("clusters", "it is the snapshot of one account; read it with Snapshot.from_json"),
}
"""By the field that tells a snapshot or a report: that of the other, and what is said of a text that has it instead."""

_PARTS: Final[dict[Any, str]] = {Snapshot: "the snapshot", Exception: "the failure"}
"""What a value in a mapping is called in an error."""

_T = TypeVar("_T")
_Hook = Callable[[Any, Any], Any]


@public
def make_converter() -> Converter:
    """Make a cattrs converter that knows `Cluster`, checks types and never coerces.

    For classes of your own that hold clusters: `make_converter().structure(raw, Team)`. Besides clusters it knows
    `Snapshot`, `InventoryReport`, `str`, `int`, `float`, `bool`, aware `datetime`, `tuple[T, ...]` and
    `Mapping[str, T]`; lists are what tuples are in JSON. What is of the wrong type is a `ValueError`.

    Returns:
        A new converter.
    """
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    for kind, expected in ((str, "a text"), (int, "an integer"), (bool, "true or false")):
        converter.register_structure_hook(kind, _exactly(kind, expected))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _moment)
    converter.register_unstructure_hook(datetime, format_time)
    converter.register_structure_hook_factory(_is_uniform_tuple, _make_tuple_hook)
    converter.register_structure_hook_factory(_is_mapping, _make_mapping_hook)
    converter.register_structure_hook(Cluster, structure_cluster)
    converter.register_unstructure_hook(Cluster, _cluster_to_dict)
    converter.register_structure_hook_func(lambda kind: kind is Exception, _failure)
    converter.register_unstructure_hook(Exception, failure_text)
    converter.register_structure_hook_factory(_is_document, _make_document_hook)
    converter.register_unstructure_hook_factory(_is_document, _make_document_writer)
    return converter


_converter: Final = cache(make_converter)


def write(document: Snapshot | InventoryReport) -> dict[str, Any]:
    """Return what the JSON text of a snapshot or a report holds."""
    return cast("dict[str, Any]", _converter().unstructure(document))


def read(value: object, kind: type[_T], where: str) -> _T:
    """Read what `write` returned.

    Args:
        value: Plain dicts and lists.
        kind: `Snapshot`, `InventoryReport`, or a class made from one of them.
        where: What it is called in an error.

    Returns:
        An object of the class.

    Raises:
        ValueError: It can't be read; the message says why.
    """
    try:
        return _converter().structure(value, kind)
    except ValueError as error:
        fault = f"{where} can't be read: {error}"
    raise ValueError(fault)


# Single values.


def _exactly(kind: type, expected: str) -> _Hook:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise mismatch(expected, value)
        return value

    return structure


def _number(value: Any, _: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise mismatch("a number", value)


def _moment(value: Any, _: Any) -> datetime:
    moment = parse_time(value) if type(value) is str else None
    if moment is None:
        raise mismatch("an ISO 8601 time", value)
    return moment


def _count(value: Any, _: Any) -> int:
    if type(value) is not int or value < 0:
        raise mismatch("an integer, 0 or more", value)
    return value


def _failure(value: Any, _: Any) -> ZillizError:
    if type(value) is not str:
        raise mismatch("a text", value)
    return ZillizError(value)


def _list(value: Any) -> Sequence[Any]:
    if type(value) is not list:
        raise mismatch("a list", value)
    return cast("Sequence[Any]", value)


def _object(value: Any) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise mismatch("an object", value)
    return cast("Mapping[str, Any]", value)


# Clusters.


def _clusters(value: Any, _: Any) -> tuple[Cluster, ...]:
    """Decode a list of records as a page of the listing is decoded."""
    records = _list(value)
    try:
        return structure_clusters(records)
    except DecodeError as error:
        wrong = WrongValue(error.message, error.field)
    raise wrong


def _cluster_to_dict(cluster: Cluster) -> dict[str, Any]:
    """Return the record with the names of `extra` in order, however the service wrote them."""
    record = cluster.to_dict()
    if not cluster.extra:
        return record
    known = {name: record.pop(name) for name in WIRE_NAMES.values()}
    return {**known, **_sorted(record)}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _sorted(items[name]) for name in sorted(items)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("Iterable[Any]", value)]
    return value


# Tuples and mappings.


def _is_uniform_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _make_tuple_hook(kind: Any, converter: Converter) -> _Hook:
    item_kind = get_args(kind)[0]
    if item_kind is Cluster:
        return _clusters
    hook = converter.get_structure_hook(item_kind)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        return tuple([hook(item, item_kind) for item in _list(value)])

    return structure


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is Mapping and get_args(kind)[0] is str


def _make_mapping_hook(kind: Any, converter: Converter) -> _Hook:
    item_kind = get_args(kind)[1]
    hook = converter.get_structure_hook(item_kind)
    part = _PARTS.get(item_kind, "the value")

    def structure(value: Any, _: Any) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for name, item in _object(value).items():
            subject = f"{part} of {name!r}"
            items[name] = _structure_part(hook, item, item_kind, subject, f"{subject} can't be read: ")
        return items

    return structure


def _structure_part(hook: _Hook, value: Any, kind: Any, subject: str, prefix: str = "") -> Any:
    """Structure a part of something; an error says which part could not be read.

    Args:
        hook: The structure hook of its type.
        value: The raw part.
        kind: Its type.
        subject: What the part is called.
        prefix: What stands before an error from further inside of it.

    Returns:
        The structured part.
    """
    try:
        return hook(value, kind)
    except ValueError as error:
        contrast = error.contrast if isinstance(error, WrongValue) else ""
        fault = f"{subject} is {contrast}" if contrast else f"{prefix}{error}"
    raise ValueError(fault)


# Snapshots and reports.


def _is_document(kind: Any) -> bool:
    return isclass(kind) and issubclass(kind, (Snapshot, InventoryReport))


def _document_fields(kind: type) -> dict[str, Any]:
    """Return names and types of what the format has, with the moment first, which is the head of every text.

    A class made from one of the two may have more fields, of which no text knows.
    """
    base = Snapshot if issubclass(kind, Snapshot) else InventoryReport
    types = {one.name: one.type for one in fields(base) if one.init}
    return {"taken_at": types["taken_at"], **types}


def _make_document_hook(kind: type, converter: Converter) -> _Hook:
    """Make the reader of a class that a JSON text holds: all fields are required, and errors name them."""
    hooks = [
        (name, of, _count if name == "requests" else converter.get_structure_hook(of))
        for name, of in _document_fields(kind).items()
    ]

    mark = "clusters" if issubclass(kind, Snapshot) else "snapshots"
    other_mark, is_other = _OTHERS[mark]

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise ValueError(f"it is {describe(value)}, not an object")
        given = cast("Mapping[str, Any]", value)
        if other_mark in given and mark not in given:
            raise ValueError(is_other)
        version = given.get("version")
        if type(version) is not int or version != FORMAT_VERSION:
            raise ValueError(
                f"its format version is {describe(version)}, and this aiozilliz reads {FORMAT_VERSION}"
            )
        # What is absent is null, and so refused: no default stands in for what a text has lost.
        return kind(**{name: _structure_part(hook, given.get(name), of, name) for name, of, hook in hooks})

    return structure


def _make_document_writer(kind: type, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    types = _document_fields(kind)
    hooks = [(name, converter.get_unstructure_hook(types[name])) for name in _ORDER if name in types]

    def unstructure(document: Any) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            **{name: hook(getattr(document, name)) for name, hook in hooks},
        }

    return unstructure
