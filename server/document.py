"""The application with its OpenAPI document as it truly answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI


class Described(FastAPI):
    """Errors are JSON on every route, also where what is asked for is a stream, a page or a file."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for methods in document["paths"].values():
                for operation in methods.values():
                    for status in ("4XX", "5XX"):
                        told = operation["responses"][status]
                        (schema,) = told["content"].values()
                        told["content"] = {"application/json": schema}
        return super().openapi()
