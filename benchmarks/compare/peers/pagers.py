"""Clients made from other packages: httpx + pydantic, and the pagers of openai and azure-core.

Each is written as its users write it: the pagers as the code that is generated on top of these packages uses them.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # pydantic reads the annotations when the classes are made
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from azure.core import AsyncPipelineClient
from azure.core.async_paging import AsyncItemPaged, AsyncList
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline import policies
from azure.core.rest import AsyncHttpResponse, HttpRequest
from openai import AsyncOpenAI, BaseModel as OpenAIModel
from openai._base_client import BaseAsyncPage, BasePage, PageInfo
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")
_KEY = "any-key"

AzureClient = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]


class CamelModel(BaseModel):
    """Reads fields by their names on the wire."""

    model_config = ConfigDict(alias_generator=to_camel)


class PydanticCluster(CamelModel):
    cluster_id: str
    cluster_name: str
    description: str
    region_id: str
    plan: str
    cu_type: str
    cu_size: int
    status: str
    connect_address: str
    private_link_address: str
    create_time: datetime
    project_id: str


class PydanticPage(CamelModel):
    count: int
    current_page: int
    page_size: int
    clusters: list[PydanticCluster]


class PydanticResponse(CamelModel):
    code: int
    data: PydanticPage


async def httpx_pydantic(client: httpx.AsyncClient, page_size: int) -> int:
    """Walk page by page; pydantic decodes the bytes of a response directly, which is its fastest way."""
    received = 0
    page = 1
    while True:
        response = await client.get(
            "/v2/clusters",
            params={"pageSize": page_size, "currentPage": page},
            headers={"Authorization": f"Bearer {_KEY}"},
        )
        response.raise_for_status()
        data = PydanticResponse.model_validate_json(response.content).data
        for cluster in data.clusters:
            assert cluster.cluster_id
            received += 1
        if received >= data.count:
            return received
        page += 1


class OpenAICluster(OpenAIModel):
    cluster_id: str = Field(alias="clusterId")
    cluster_name: str = Field(alias="clusterName")
    description: str
    region_id: str = Field(alias="regionId")
    plan: str
    cu_type: str = Field(alias="cuType")
    cu_size: int = Field(alias="cuSize")
    status: str
    connect_address: str = Field(alias="connectAddress")
    private_link_address: str = Field(alias="privateLinkAddress")
    create_time: datetime = Field(alias="createTime")
    project_id: str = Field(alias="projectId")


class OpenAIData(OpenAIModel, Generic[_T]):
    count: int
    current_page: int = Field(alias="currentPage")
    page_size: int = Field(alias="pageSize")
    clusters: list[_T]


class OpenAIPage(BaseAsyncPage[_T], BasePage[_T], Generic[_T]):
    """A page with a number, as openai's own pages are with a cursor."""

    code: int
    data: OpenAIData[_T]

    def _get_page_items(self) -> list[_T]:
        return self.data.clusters

    def next_page_info(self) -> PageInfo | None:
        data = self.data
        if data.current_page * data.page_size >= data.count:
            return None
        return PageInfo(params={"currentPage": data.current_page + 1})


def make_openai(url: str) -> AsyncOpenAI:
    """Return the client, an async context manager."""
    return AsyncOpenAI(api_key=_KEY, base_url=f"{url}/v2")


async def openai_pager(client: AsyncOpenAI, page_size: int) -> int:
    """Walk with openai's `AsyncPaginator`."""
    clusters = client.get_api_list(
        "/clusters",
        model=OpenAICluster,
        page=OpenAIPage[OpenAICluster],
        options={"params": {"pageSize": page_size, "currentPage": 1}},
    )
    received = 0
    async for cluster in clusters:
        assert cluster.cluster_id
        received += 1
    return received


def make_azure(url: str) -> AzureClient:
    """Return the client, an async context manager, with the policies that generated clients have."""
    return AsyncPipelineClient(
        url,
        policies=[
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy(),
            policies.ProxyPolicy(),
            policies.ContentDecodePolicy(),
            policies.AsyncRedirectPolicy(),
            policies.AsyncRetryPolicy(),
            policies.AzureKeyCredentialPolicy(AzureKeyCredential(_KEY), "Authorization", prefix="Bearer"),
            policies.CustomHookPolicy(),
            policies.NetworkTraceLoggingPolicy(),
            policies.DistributedTracingPolicy(),
            policies.SensitiveHeaderCleanupPolicy(),
            policies.HttpLoggingPolicy(),
        ],
    )


async def azure_pager(client: AzureClient, page_size: int) -> int:
    """Walk with azure-core's `AsyncItemPaged`, which yields dicts: models come with each service's package."""

    async def get_next(token: str | None) -> AsyncHttpResponse:
        query: dict[str, str | int] = {"pageSize": page_size, "currentPage": token or "1"}
        request = HttpRequest("GET", client.format_url("/v2/clusters"), params=query)
        response = await client.send_request(request)
        response.raise_for_status()
        return response

    async def extract_data(response: AsyncHttpResponse) -> tuple[str | None, AsyncList[dict[str, Any]]]:
        data = response.json()["data"]
        page = data["currentPage"]
        more = page * data["pageSize"] < data["count"]
        return str(page + 1) if more else None, AsyncList(data["clusters"])

    received = 0
    clusters: AsyncItemPaged[dict[str, Any]] = AsyncItemPaged(get_next, extract_data)
    async for cluster in clusters:
        assert cluster["clusterId"]
        received += 1
    return received
