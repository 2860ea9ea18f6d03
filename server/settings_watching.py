"""Settings of what can be seen of the server: its log and its traces."""

from __future__ import annotations

from typing import Literal

from pydantic_settings import BaseSettings

from server.logs import LogFormat


class WatchSettings(BaseSettings, use_attribute_docstrings=True):
    """What an operator can set of it."""

    log_format: LogFormat = "text"
    """`text` for people, `json` for machines: one object a line, with request, caller, route, job and task.
    Neither holds keys or what was said."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged of the server's own doing; of libraries warnings alone."""
    otel_endpoint: str = ""
    """Where traces are sent (OTLP over HTTP), e.g. `http://127.0.0.1:4318`; `OTEL_EXPORTER_OTLP_ENDPOINT`
    says it too, beside the other variables of OpenTelemetry. Empty: none are made. Needs the extra `otel`."""
    otel_content: bool = False
    """Whether traces hold what models and tools said."""
