"""Clusters within classes of one's own: a cattrs converter that never coerces.

Left to itself cattrs calls `str(12)` and `int(True)`. Here a value of the wrong type is an error.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, cast, get_args, get_origin

from cattrs import Converter

from aiozilliz._public import public
from aiozilliz._records.cluster import Cluster, structure_cluster
from aiozilliz._records.json import format_time, mismatch, parse_time


@public
def make_converter() -> Converter:
    """Make a cattrs converter that knows `Cluster`, checks types and never coerces.

    For classes of your own that hold clusters: `make_converter().structure(raw, Team)`. Besides clusters it knows
    `str`, `int`, `float`, `bool`, aware `datetime` and `tuple[T, ...]`; lists are what tuples are in JSON. What is of
    the wrong type is a `ValueError`.
    """
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    for kind, expected in ((str, "a text"), (int, "an integer"), (bool, "true or false")):
        converter.register_structure_hook(kind, _exactly(kind, expected))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _moment)
    converter.register_unstructure_hook(datetime, format_time)
    converter.register_structure_hook_factory(_is_uniform_tuple, _make_tuple_hook)
    converter.register_structure_hook(Cluster, structure_cluster)
    converter.register_unstructure_hook(Cluster, Cluster.to_dict)
    return converter


def _exactly(kind: type, expected: str) -> Callable[[Any, Any], Any]:
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


def _is_uniform_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _make_tuple_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    item_kind = get_args(kind)[0]
    hook = converter.get_structure_hook(item_kind)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise mismatch("a list", value)
        return tuple([hook(item, item_kind) for item in cast("Iterable[Any]", value)])

    return structure
