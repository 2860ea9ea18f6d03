"""Secrets by their form: found, refused, blotted out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from memory.errors import BadInput

PLUGINS = (
    *("artifactory", "aws", "azure_storage_key", "basic_auth", "discord", "github_token", "gitlab_token"),
    *("jwt", "mailchimp", "npm", "openai", "private_key", "pypi_token", "sendgrid", "slack"),
    *("square_oauth", "stripe", "telegram_token", "twilio"),
)
"""Modules of detect-secrets that know a secret by its form. Those that go by entropy or by a word before it
are left out: they refuse ordinary prose ("the password: ask the owner")."""

MARKS = {
    "Artifactory Credentials": ("AKC", "AP"),
    "AWS Access Key": ("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "aws"),
    "Azure Storage Account access key": ("AccountKey=",),
    "Basic Auth Credentials": ("://",),
    "Discord Bot Token": (".",),
    "GitHub Token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLab Token": (
        *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-"),
        *("GR1348941", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-"),
    ),
    "JSON Web Token": ("eyJ",),
    "Mailchimp Access Key": ("-us",),
    "NPM tokens": ("_authToken=",),
    "OpenAI Token": ("T3BlbkFJ",),
    "Private Key": ("PRIVATE KEY", "PuTTY-User-Key-File-2"),
    "PyPI Token": ("pypi-",),
    "SendGrid API Key": ("SG.",),
    "Slack Token": ("xox", "hooks.slack.com"),
    "Square OAuth Secret": ("sq0csp-",),
    "Stripe Access Key": ("k_live_",),
    "Telegram Bot Token": (":",),
    "Twilio API Key": ("AC", "SK"),
}
"""What every secret of a kind holds, one of these in whatever case: looking for that first is ten times as
fast."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One form of one kind of secret."""

    kind: str
    pattern: re.Pattern[str]


def check_secrets(texts: Iterable[str]) -> None:
    """Raises BadInput naming the kind of secret, never the secret."""
    for text in texts:
        for detector in _suspects(text):
            if detector.pattern.search(text):
                raise BadInput(
                    f"the text holds a secret ({detector.kind}); memory refuses secrets: remove it first"
                )


def redacted(text: str) -> str:
    """The text with every secret blotted out.

    >>> redacted("log in with AKIA" + "IOSFODNN7EXAMPLQ now")
    'log in with [secret: AWS Access Key] now'
    """
    for detector in _suspects(text):
        text = detector.pattern.sub(f"[secret: {detector.kind}]", text)
    return text


def _suspects(text: str) -> list[Detector]:
    """Detectors that may find something."""
    folded = text.casefold()
    suspects: list[Detector] = []
    for marks, every in _kinds():
        for mark in marks:
            if mark in folded:
                suspects += every
                break
    return suspects


@cache
def detectors() -> tuple[Detector, ...]:
    """Every form of every kind."""
    base = import_module("detect_secrets.plugins.base").RegexBasedDetector
    modules = [import_module(f"detect_secrets.plugins.{name}") for name in PLUGINS]
    plugins: list[Any] = [
        plugin
        for module in modules
        for plugin in vars(module).values()
        if isinstance(plugin, type) and issubclass(plugin, base) and plugin.__module__ == module.__name__
    ]
    return tuple(Detector(plugin.secret_type, pattern) for plugin in plugins for pattern in plugin.denylist)


@cache
def _kinds() -> tuple[tuple[tuple[str, ...], tuple[Detector, ...]], ...]:
    """Folded marks and detectors of each kind; one without marks is looked for in every text."""
    every = detectors()
    return tuple(
        (
            tuple(dict.fromkeys(mark.casefold() for mark in MARKS.get(kind, ("",)))),
            tuple(one for one in every if one.kind == kind),
        )
        for kind in dict.fromkeys(one.kind for one in every)
    )
