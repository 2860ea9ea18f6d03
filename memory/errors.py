"""Every error a user can meet, as one tree. Messages name the value and the remedy.

ApprenticeError
├── BadInput            the caller can mend it (HTTP 422/400)
│   └── TooLarge        over a stated limit (413)
│       └── ContextExceeded  longer than the model can read (400)
├── NotFound            no such thing, or not yours (404)
├── Conflict            the state forbids it (409)
├── Denied              a guard or role forbids it (403)
├── OverQuota           a namespace is full, or a principal writes too fast (429)
├── StoreError          the database failed (500)
│   ├── DiskFull        no space left; nothing was lost (507)
│   └── StoreLocked     another process owns the file (503)
├── EncoderError        the encoder cannot be loaded or differs (503)
├── IndexCorrupt        a snapshot failed its check (rebuilt, told)
├── ModelError          a model call failed for good (502)
│   ├── Throttled       its provider has no room for now (429)
│   └── BudgetExceeded  a limit on steps, tokens, money or seconds (429)
├── WorldError          a world crashed: the episode is `infra`
└── DistillError        dataset, training, gate or adapter refused
    └── AdapterRefused  corrupt, or made for another base, tokenizer or template
"""

from __future__ import annotations


class ApprenticeError(Exception):
    """Root of every error this project raises on purpose."""


class BadInput(ApprenticeError):
    """The caller sent something that cannot be used."""


class TooLarge(BadInput):
    """The input is over a stated limit."""


class ContextExceeded(TooLarge):
    """The conversation is longer than the model can read."""


class NotFound(ApprenticeError):
    """There is no such thing in the caller's namespace."""


class Conflict(ApprenticeError):
    """The thing is in a state that forbids the request."""


class Denied(ApprenticeError):
    """A role or a guard forbids it."""


class OverQuota(ApprenticeError):
    """A namespace holds, or a principal writes, as much as it may."""


class StoreError(ApprenticeError):
    """The database failed; the transaction was rolled back."""


class DiskFull(StoreError):
    """No space is left on the device; nothing acknowledged was lost."""


class StoreLocked(StoreError):
    """Another process has the database open."""


class EncoderError(ApprenticeError):
    """The text encoder cannot be loaded, or is not the one the vectors were made with."""


class IndexCorrupt(ApprenticeError):
    """An index snapshot failed its check."""


class ModelError(ApprenticeError):
    """A model call failed for good."""


class Throttled(ModelError):
    """The model's provider had no room, however often it was asked."""


class BudgetExceeded(ModelError):
    """A limit on steps, tokens, money or time was reached."""


class WorldError(ApprenticeError):
    """A world or tool broke: the episode is `infra` and teaches nothing."""


class DistillError(ApprenticeError):
    """A dataset, training run, gate or adapter was refused."""


class AdapterRefused(DistillError):
    """The adapter is corrupt, or made for another base, tokenizer or template."""
