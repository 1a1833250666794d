"""Accounts of one user share a limit, and others do not wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Account, Inventory
from tests.cookbook.recipes import TEXT, load

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud


@pytest.fixture
def module(tmp_path: Path) -> Any:
    return load(tmp_path, "per_user.py")


def test_a_user_has_one_limiter_and_an_unknown_account_its_own(module: Any) -> None:
    prod, staging, cn, spare, other = (
        Account(name, "any-key") for name in ("prod", "staging", "cn", "spare", "other")
    )
    users = {"prod": "ann", "staging": "ann", "cn": "bo"}
    limit = module.limit_by_user(users)

    assert limit(prod) is limit(staging)
    assert len({id(limit(account)) for account in (prod, cn, spare, other)}) == 4
    assert limit(spare) is limit(spare)


async def test_the_requests_of_a_user_are_limited_over_all_of_the_users_accounts(
    fake_zilliz_cloud: FakeZillizCloud, module: Any
) -> None:
    call = "Inventory(accounts, limiter=limit_by_user(users))"
    assert f"`{call}`" in TEXT
    accounts = [Account(name, f"key-{name}", base_url=fake_zilliz_cloud.url) for name in ("prod", "staging")]
    names = {
        "Inventory": Inventory,
        "accounts": accounts,
        "limit_by_user": module.limit_by_user,
        "users": {"prod": "ann", "staging": "ann"},
    }

    async with eval(call, names) as inventory:  # noqa: S307 - the project's own example
        found = [cluster async for _, cluster in inventory.iter_clusters(page_size=20)]

    assert len(found) == 500
    moments = sorted(request.monotonic for request in fake_zilliz_cloud.requests)
    assert len(moments) == 26
    # With a limit for each account, all of them would fit into one second.
    assert all(later - earlier >= 1.0 for earlier, later in zip(moments, moments[20:], strict=False))
