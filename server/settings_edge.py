"""Settings of the edge: who may call, how often, from which pages, and where we may call."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SecretsSettingsSource

from server.auth import AccessRole
from server.settings_file import FileSource


class EdgeSettings(BaseSettings, use_attribute_docstrings=True):
    """What an operator can set of it."""

    oidc_issuer: str = ""
    """Issuer of OpenID Connect tokens that are taken beside keys, e.g. `https://login.example.com/realms/x`;
    empty takes keys alone. One in a private network is listed in `outbound_allow` too."""
    oidc_audience: Annotated[tuple[str, ...], NoDecode] = ()
    """Audiences, one of which a token must be for. Comma-separated."""
    oidc_namespace_claim: str = "namespace"
    """Claim that names a token's namespace."""
    oidc_role_claim: str = "role"
    """Claim that names its role: `operator`, `user`, `agent` or `read-only`."""
    oidc_default_role: AccessRole | None = None
    """Role of tokens without that claim; where none is given they are refused."""
    oidc_leeway_s: Annotated[float, Field(ge=0.0, le=300.0)] = 30.0
    """How far the issuer's clock may be from this one's, seconds."""

    requests_per_minute_key: Annotated[int, Field(ge=1)] | None = None
    """Requests a minute of one key or token's subject, by this server; more get 429. None is no limit."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """The same of a whole namespace."""
    max_chats: Annotated[int, Field(ge=1)] | None = None
    """Conversations of one namespace that this server answers at the same time; more get 429."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call this server from a browser, e.g. `https://app.example.com`; none may where
    this is empty. Comma-separated."""
    outbound_allow: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names, addresses or networks (CIDR) that requests to addresses of callers (webhooks) may go to,
    though they are private or plain HTTP. Comma-separated."""
    max_body_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds in which the body of a request must have come; slower ones get 408."""

    @field_validator("oidc_audience", "cors_origins", "outbound_allow", mode="before")
    @classmethod
    def _split_edge(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Also from files of a folder, as containers are given secrets: `apprentice_memory_url` and so on;
        and from one that `apprentice init` begins.
        """
        folder = os.environ.get("APPRENTICE_SECRETS_DIR")
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=folder) if folder else file_secret_settings
        return init_settings, env_settings, dotenv_settings, secrets, FileSource(settings_cls)
