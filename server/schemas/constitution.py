"""The constitution as a whole: its versions, and what comes in from elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory.constitution.court import Decision
from memory.constitution.versions import ConstitutionVersion, PrincipleChange
from memory.types import Constitution, Dropped, Item

Form = Literal["json", "markdown", "agents", "system"]
MAX_PRINCIPLES = 1000


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ConstitutionOut(BaseModel):
    """The principles in force, most useful first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["constitution"] = "constitution"
    namespace: str
    family: str | None
    version: str
    """Hash of the ids and versions of the principles; of a frozen one its id."""
    principles: list[Item]
    tokens: int
    """What showing them costs, at about four letters a token."""
    dropped: list[Dropped]
    """Those that are not shown: over the token budget, contradicted by a narrower one, or taken back."""

    @classmethod
    def of(cls, constitution: Constitution, tokens: int) -> ConstitutionOut:
        """As it goes over the wire."""
        return cls(
            namespace=constitution.namespace,
            family=constitution.family,
            version=constitution.version,
            principles=list(constitution.principles),
            tokens=tokens,
            dropped=list(constitution.dropped),
        )


class ConstitutionIn(BaseModel):
    """A constitution of another memory, as `GET /v1/constitution` there answers it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: Annotated[str, Field(min_length=1, max_length=100)]
    """Part of the source by which all that came in can be revoked."""
    principles: Annotated[list[Item], Field(min_length=1, max_length=MAX_PRINCIPLES)]
    namespace: str = ""
    family: str | None = None

    def to_constitution(self) -> Constitution:
        """As memory knows it."""
        return Constitution(self.namespace, self.family, self.version, tuple(self.principles))


class VersionList(BaseModel):
    """Versions of the namespace's constitution, newest first."""

    object: Literal["list"] = "list"
    data: list[ConstitutionVersion]


class ConstitutionDifference(BaseModel):
    """What two versions have differently, by principle."""

    object: Literal["list"] = "list"
    data: list[PrincipleChange]


class FreezeRequest(_Form):
    """What to freeze."""

    family: Annotated[str | None, Field(max_length=200)] = None
    """Only what holds for this site or family; all of it when left out."""
    principles: Annotated[list[str] | None, Field(min_length=1, max_length=MAX_PRINCIPLES)] = None
    """Only these, by id; all of them when left out."""


class RollBackRequest(_Form):
    """Back to an earlier version."""

    version: Annotated[str, Field(min_length=1, max_length=100)]
    """An id from the list of versions."""


class Review(BaseModel):
    """What a review changed."""

    object: Literal["list"] = "list"
    data: list[Decision]
