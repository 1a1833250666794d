"""A check for schemathesis, which `nox -s contract` runs: arguments out of range are refused by code, and no others.

The service refuses arguments under HTTP 200, so that the tool's own check, which wants a 4xx, is left out.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports] - in that session only

REFUSALS = {"pageSize": (96008, 100), "currentPage": (96009, 2**31 - 1)}


@schemathesis.check  # type: ignore[untyped-decorator]  # pyright: ignore[reportUntypedFunctionDecorator, reportUnknownMemberType]
def refused_by_code(_: Any, response: Any, case: Any) -> None:
    """Hold the code of a response against the arguments of its request."""
    if response.status_code != 200 or case.method != "GET":
        return
    url: str = response.request.url
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    codes = {
        code
        for name, (code, most) in REFUSALS.items()
        if not re.fullmatch("[0-9]{1,10}", query.get(name, "1")) or not 1 <= int(query.get(name, "1")) <= most
    }
    found = response.json()["code"]
    assert found in (codes or {0, 96001}), f"{found} for {query}"
    assert found != 96001 or "region" in query
