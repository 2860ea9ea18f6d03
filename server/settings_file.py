"""Settings from a file, `apprentice.toml` or the one that `APPRENTICE_CONFIG` names; how one is begun."""

from __future__ import annotations

import json
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

VARIABLE = "APPRENTICE_CONFIG"
DEFAULT = Path("apprentice.toml")
_HEAD = """\
Settings of Apprentice. A flag of `apprentice serve` wins over the environment, the environment
(`APPRENTICE_PORT` and so on, or a `.env` file) over files of secrets, and all of them over this file. What is
commented out is as it would be without. Secrets do not belong here: give them by the environment, or as files
of a folder that APPRENTICE_SECRETS_DIR names. `apprentice settings` shows what holds."""
_WIDTH = 108


class FileSource(PydanticBaseSettingsSource):
    """What the file says. Raises ValueError on what it may not say."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not asked: the file is read whole."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """All of it."""
        path = file_of(os.environ)
        return {} if path is None else read(path, self.settings_cls.model_fields)


def file_of(environment: Mapping[str, str]) -> Path | None:
    """The file that is read, if any; one that is named has to be there."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    return DEFAULT if DEFAULT.is_file() else None


def read(path: Path, fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The settings of a file. Raises ValueError naming the file and what is wrong in it."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the settings in {str(path)!r} cannot be read: {error}") from error
    for name in found:
        if name not in fields:
            near = get_close_matches(name, fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else "`apprentice settings` lists them"
            raise ValueError(f"{str(path)!r} sets {name!r}, which is no setting: {hint}")
        if is_secret(fields[name]):
            raise ValueError(
                f"{str(path)!r} sets {name!r}, a secret: give it as APPRENTICE_{name.upper()} or in a file "
                "of the folder APPRENTICE_SECRETS_DIR"
            )
    return found


def commented(settings: type[BaseSettings]) -> str:
    """A file in which every setting stands with its meaning and its default, commented out."""
    return "\n".join([*_remark(_HEAD), "", *_lines(settings.model_fields)]) + "\n"


def is_secret(field: FieldInfo) -> bool:
    """May it stand in no file that people show each other?"""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _lines(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        if is_secret(field):
            continue
        yield from _remark(field.description or "")
        default = field.get_default(call_default_factory=True)
        yield f"# {name} = {_spelt(default)}" if default is not None else f"# {name} ="
        yield ""


def _remark(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH):
        yield f"# {line}"


def _spelt(value: object) -> str:
    """As TOML has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_spelt(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(_spelt, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
