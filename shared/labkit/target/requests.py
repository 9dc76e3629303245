"""Shows the request behind an SDK object, as the JSON that the service would get."""

from __future__ import annotations

import json
from typing import Any

from labkit.catalog import LabError


def request_body(request: Any) -> dict[str, Any]:
    """The JSON body of an SDK object that has not been sent.

    Takes a BigQuery job, a job of google.cloud.aiplatform, or a message of its API. Raises LabError for anything else.
    """
    if hasattr(request, "to_api_repr"):
        return dict(request.to_api_repr())
    message = getattr(request, "_gca_resource", request)
    if hasattr(type(message), "pb"):
        from google.protobuf.json_format import MessageToDict

        return dict(MessageToDict(type(message).pb(message)))
    raise LabError(
        f"lab.target.show takes a BigQuery job, an aiplatform job or an API message, got {type(request).__name__}."
    )


def show_request(request: Any) -> None:
    """Prints the request as JSON."""
    body = json.dumps(request_body(request), indent=2, sort_keys=True)
    # What the service has taken has a name there.
    state = (
        "as the service has it"
        if getattr(getattr(request, "_gca_resource", None), "name", "")
        else "built and not sent"
    )
    print(f"{type(request).__name__}, {state}:\n{body}")
