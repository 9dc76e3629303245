"""Checks responses against Google's discovery document of an API.

The documents come with google-api-python-client. They are large and nothing at run time needs them, so they lie in
the environment dev, beside ruff and mypy.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


@cache
def document(api: str) -> dict[str, Any]:
    """The document of an API like `bigquery.v2`; an AssertionError says how to get it."""
    inside = f"lib/python*/site-packages/googleapiclient/discovery_cache/documents/{api}.json"
    paths = list((ROOT / ".venvs" / "dev").glob(inside))
    assert paths, "the discovery document is missing: nox -s environment -- dev"
    found: dict[str, Any] = json.loads(paths[0].read_text(encoding="utf-8"))
    return found


@cache
def methods(api: str) -> list[tuple[str, re.Pattern[str], str | None]]:
    """(HTTP method, pattern of the path, name of the response's schema)."""
    found = []

    def collect(resource: dict[str, Any]) -> None:
        for method in resource.get("methods", {}).values():
            path = re.sub(r"\{[^}]*\}", "[^/:]+", method.get("flatPath", method["path"]))
            found.append((method["httpMethod"], re.compile(path + r"\Z"), (method.get("response") or {}).get("$ref")))
        for inner in resource.get("resources", {}).values():
            collect(inner)

    collect(document(api))
    return found


def check_response(api: str, method: str, path: str, status: int, body: Any) -> None:
    """Raises AssertionError for a body that is not what the document says of the method."""
    if status >= 300:
        return
    path = path.split(f"/{document(api)['servicePath'].strip('/')}/")[1]
    for http_method, pattern, schema in methods(api):
        if http_method == method and pattern.match(path):
            if schema is None:
                assert body is None, f"{method} {path} answers with a body"
            else:
                _check(api, body, {"$ref": schema}, schema)
            return
    raise AssertionError(f"{method} {path} is no method of the API")


def _check(api: str, value: Any, schema: dict[str, Any], path: str) -> None:
    if "$ref" in schema:
        schema = document(api)["schemas"][schema["$ref"]]
    kind = schema.get("type")
    if kind == "any":
        return
    if kind == "object":
        assert isinstance(value, dict), f"{path}: an object, not {value!r}"
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        for key, item in value.items():
            assert key in known or other, f"{path}.{key} is not in the API"
            _check(api, item, known.get(key, other), f"{path}.{key}")
    elif kind == "array":
        assert isinstance(value, list), f"{path}: an array, not {value!r}"
        for item in value:
            _check(api, item, schema["items"], f"{path}[]")
    elif kind == "string":
        assert isinstance(value, str), f"{path}: a string, not {value!r}"
        if schema.get("format") in ("int64", "uint64"):
            assert re.fullmatch(r"-?\d+", value), f"{path}: an integer as text, not {value!r}"
        assert "enum" not in schema or value in schema["enum"], f"{path}: {value!r} is none of {schema['enum']}"
    elif kind == "boolean":
        assert isinstance(value, bool), f"{path}: true or false, not {value!r}"
    else:
        assert isinstance(value, (int, float)) and not isinstance(value, bool), f"{path}: a number, not {value!r}"
