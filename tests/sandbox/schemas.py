"""Stripe's OpenAPI document as JSON Schemas that are stricter than it: a field it does not know is an error."""

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

JSON_TYPE = "application/json"


class Specification:
    """The document's operations and the schemas of their answers."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self._paths: dict[str, Any] = document["paths"]
        self._components = {"schemas": _as_json_schema(document["components"]["schemas"])}

    def errors(self, method: str, path: str, status: int, body: dict[str, Any]) -> list[str]:
        """Say what is wrong with an answer to a request, by the schema of that operation's answers."""
        responses = self._operation(method, path)["responses"]
        response = responses.get(str(status), responses["default"])
        return self._against(response["content"][JSON_TYPE]["schema"], body)

    def component_errors(self, name: str, body: dict[str, Any]) -> list[str]:
        """Say what is wrong with an object, by the component schema of that name."""
        return self._against({"$ref": f"#/components/schemas/{name}"}, body)

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for address, operations in self._paths.items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", address)
            if method.lower() in operations and re.fullmatch(pattern, path):
                operation: dict[str, Any] = operations[method.lower()]
                return operation
        raise AssertionError(f"Stripe has no {method} {path}")

    def _against(self, schema: dict[str, Any], body: dict[str, Any]) -> list[str]:
        whole = {**_as_json_schema(schema), "components": self._components}
        found = Draft202012Validator(whole).iter_errors(body)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]


def _as_json_schema(schema: Any) -> Any:
    """Translate OpenAPI 3.0's `nullable`, and forbid unknown fields wherever fields are listed."""
    if isinstance(schema, list):
        return [_as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    translated = {name: _as_json_schema(part) for name, part in schema.items() if name != "nullable"}
    # A field may itself be called "properties" or "nullable": only a schema proper has a type that is text.
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        translated.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, translated]}
    return translated
