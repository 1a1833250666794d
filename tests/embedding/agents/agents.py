"""Agents that wrap aiohttp: how each is started, what it calls a transaction, and what it has recorded.

Nothing is sent anywhere: what an agent would send is kept as text. Each agent's modules are imported as it is started.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def load(name: str) -> Any:
    """Return a module of an agent. Type checkers do not see it, and there is no need to install it for them."""
    return import_module(name)


class Agent:
    """An agent that has been started.

    Attributes:
        header: The header by which it propagates its trace.
    """

    header = "traceparent"

    def __init__(self) -> None:
        self.kept: list[str] = []

    def transaction(self) -> Any:
        """Return a block in which requests are recorded."""
        raise NotImplementedError

    def capture(self, error: Exception) -> None:
        """Record an error that is being handled, with all that the agent can tell of it."""
        raise NotImplementedError

    def trace_configs(self) -> list[Any]:
        """Return what a session needs to be traced, where the agent wraps none by itself."""
        return []

    def recorded(self) -> str:
        """Return all that it has recorded so far."""
        return "\n".join(self.kept)


class ElasticAPM(Agent):
    """It wraps `ClientSession._request` and writes into the headers."""

    def __init__(self) -> None:
        super().__init__()
        elasticapm = load("elasticapm")

        def keep(_client: Any, event_type: str, data: Any, **_options: Any) -> None:
            self.kept.append(f"{event_type} {data!r}")

        elasticapm.Client.queue = keep
        elasticapm.instrument()
        self._client = elasticapm.Client(
            service_name="test",
            transport_class="elasticapm.transport.base.Transport",
            central_config=False,
            cloud_provider="none",
            metrics_interval="0s",
            span_compression_enabled=False,
            span_stack_trace_min_duration="0ms",
            collect_local_variables="all",
            capture_headers=True,
        )

    @contextmanager
    def transaction(self) -> Generator[None]:
        self._client.begin_transaction("task")
        yield
        self._client.end_transaction("listing", "success")

    def capture(self, error: Exception) -> None:
        self._client.capture_exception()


class Datadog(Agent):
    """It wraps `ClientSession._request`, writes into the headers, and puts a proxy in place of the connector."""

    header = "x-datadog-parent-id"

    def __init__(self) -> None:
        super().__init__()
        os.environ |= {
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_TRACE_HEADER_TAGS": "authorization:authorization,user-agent:agent,x-datadog-parent-id:parent",
        }
        ddtrace = load("ddtrace")

        def keep(trace: Any) -> None:
            self.kept.extend(f"{span.resource} {span.get_tags()} {span._get_attributes()}" for span in trace)

        ddtrace.tracer.configure(trace_processors=[SimpleNamespace(process_trace=keep)])
        ddtrace.patch(aiohttp=True)
        self._tracer = ddtrace.tracer

    def transaction(self) -> Any:
        return self._tracer.trace("listing")

    def capture(self, error: Exception) -> None:
        self._tracer.current_span().set_exc_info(*sys.exc_info())


class NewRelic(Agent):
    """It wraps `ClientSession._request`, and `ClientRequest.send`, where the key is among the headers."""

    header = "traceparent"

    def __init__(self) -> None:
        super().__init__()
        os.environ |= {"NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_LICENSE_KEY": "0" * 40}
        os.environ |= {"NEW_RELIC_APP_NAME": "test", "NEW_RELIC_LOG": os.devnull}
        self._agent = load("newrelic.agent")
        StatsEngine = load("newrelic.core.stats_engine").StatsEngine  # noqa: N806  # a class

        self._agent.initialize()
        record = StatsEngine.record_transaction

        def keep(engine: Any, transaction: Any) -> None:
            self.kept.append(f"{transaction!r} {list(transaction.span_events(engine.settings))}")
            record(engine, transaction)

        StatsEngine.record_transaction = keep
        self._application = self._agent.register_application(timeout=30.0)

    def transaction(self) -> Any:
        return self._agent.BackgroundTask(self._application, "listing")

    def capture(self, error: Exception) -> None:
        self._agent.notice_error()


class OpenTelemetry(Agent):
    """It wraps `ClientSession.__init__` and adds a trace configuration; all headers are captured."""

    def __init__(self) -> None:
        super().__init__()
        os.environ["OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"] = ".*"
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        self._trace = trace
        provider = TracerProvider()
        provider.add_span_processor(self._keep())
        trace.set_tracer_provider(provider)
        self._instrument()

    def _instrument(self) -> None:
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

        AioHttpClientInstrumentor().instrument()

    def _keep(self) -> Any:
        from opentelemetry.sdk.trace import SpanProcessor

        kept = self.kept

        class Keep(SpanProcessor):
            def on_end(self, span: Any) -> None:
                kept.append(span.to_json())

        return Keep()

    def transaction(self) -> Any:
        return self._trace.get_tracer("test").start_as_current_span("listing")

    def capture(self, error: Exception) -> None:
        self._trace.get_current_span().record_exception(error)


class Logfire(OpenTelemetry):
    """OpenTelemetry's, which also captures headers and bodies."""

    def __init__(self) -> None:
        Agent.__init__(self)
        from opentelemetry import trace

        self._trace = trace
        logfire = load("logfire")
        logfire.configure(
            send_to_logfire=False, console=False, scrubbing=False, additional_span_processors=[self._keep()]
        )
        logfire.instrument_aiohttp_client(capture_all=True)


class XRay(Agent):
    """It gives a trace configuration, which writes into the headers: a borrowed session alone can be traced."""

    header = "X-Amzn-Trace-Id"

    def __init__(self) -> None:
        super().__init__()
        self._recorder = load("aws_xray_sdk.core").xray_recorder

    def send_entity(self, entity: Any) -> None:
        """Keep a segment, in place of an emitter."""
        self.kept.append(entity.serialize())

    def trace_configs(self) -> list[Any]:
        context = load("aws_xray_sdk.core.async_context").AsyncContext()  # it belongs to the running loop
        self._recorder.configure(service="test", sampling=False, emitter=self, context=context)
        return [load("aws_xray_sdk.ext.aiohttp.client").aws_xray_trace_config()]

    def transaction(self) -> Any:
        return self._recorder.in_segment("listing")

    def capture(self, error: Exception) -> None:
        stack = load("aws_xray_sdk.core.utils.stacktrace").get_stacktrace(100)
        self._recorder.current_segment().add_exception(error, stack)


class Instana(Agent):
    """It wraps `ClientSession.__init__` and adds a trace configuration to what was passed."""

    header = "X-INSTANA-S"

    def __init__(self) -> None:
        super().__init__()
        load("instana")
        singletons = load("instana.singletons")
        singletons.agent.can_send = lambda: True
        singletons.agent.announce_data = load("instana.agent.host").AnnounceData(pid=1, agent_uuid="test")
        self._tracer = singletons.get_tracer()

    def recorded(self) -> str:
        spans = self._tracer.span_processor.queued_spans()
        self.kept.extend(f"{vars(span)} {span.data}" for span in spans)
        return super().recorded()

    def transaction(self) -> Any:
        return self._tracer.start_as_current_span("listing")

    def capture(self, error: Exception) -> None:
        from opentelemetry.trace import get_current_span

        get_current_span().record_exception(error)


class Sentry(Agent):
    """It wraps `ClientSession.__init__`, and sends errors with the locals of their frames."""

    header = "sentry-trace"

    def __init__(self) -> None:
        super().__init__()
        self._sentry = load("sentry_sdk")

        def keep(event: Any, _hint: Any) -> None:
            self.kept.append(json.dumps(event, default=repr))

        self._sentry.init(
            dsn="http://public@127.0.0.1:9/1",
            before_send=keep,
            before_send_transaction=keep,
            integrations=[load("sentry_sdk.integrations.aiohttp").AioHttpIntegration()],
            traces_sample_rate=1.0,
            send_default_pii=True,
            include_local_variables=True,
            max_value_length=100_000,
        )

    def transaction(self) -> Any:
        return self._sentry.start_transaction(name="listing")

    def capture(self, error: Exception) -> None:
        self._sentry.capture_exception(error)


class SkyWalking(Agent):
    """It puts a function in place of `ClientSession._request`, and adds to the headers."""

    header = "sw8"

    def __init__(self) -> None:
        super().__init__()
        load("skywalking.config").init(
            agent_collector_backend_services="127.0.0.1:9", agent_name="test", agent_log_reporter_active=False
        )
        agent = load("skywalking.agent").agent
        agent.start()
        agent.archive_segment = self._keep
        self._context = load("skywalking.trace.context").get_context

    def _keep(self, segment: Any) -> None:
        for span in segment.spans:
            tags = [(tag.key, tag.val) for tag in span.iter_tags()]
            logs = [(item.key, item.val) for log in span.logs for item in log.items]
            self.kept.append(f"{span.op} {span.peer} {tags} {logs}")

    def transaction(self) -> Any:
        return self._context().new_local_span("listing")

    def capture(self, error: Exception) -> None:
        self._context().active_span.raised()


AGENTS: dict[str, Callable[[], Agent]] = {
    "apache-skywalking": SkyWalking,
    "aws-xray-sdk": XRay,
    "ddtrace": Datadog,
    "elastic-apm": ElasticAPM,
    "instana": Instana,
    "logfire": Logfire,
    "newrelic": NewRelic,
    "opentelemetry-instrumentation-aiohttp-client": OpenTelemetry,
    "sentry-sdk": Sentry,
}
"""By the name of the distribution."""
