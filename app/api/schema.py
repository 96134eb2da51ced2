"""The OpenAPI document: FastAPI's, with our errors and this deployment's limits."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import Problem
from app.config.settings import Settings
from graphs.spending.limits import MICRO

DESCRIPTION = "Multi-agent research jobs with hard budgets. Every error is a problem document (RFC 9457)."


def openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The document, with this deployment's highest budget and deadline, and webhooks if enabled."""
    document = get_openapi(title="Tollgate", version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operation in (each for path in document["paths"].values() for each in path.values()):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]  # FastAPI's default, where only the id in the path can be wrong
    request = schemas["JobRequest"]["properties"]
    _number(request["budget_usd"])["maximum"] = settings.ceiling.budget_micro_usd / MICRO
    _number(request["deadline_s"])["maximum"] = settings.ceiling.deadline_s
    if settings.webhook_secret is None:
        del request["webhook_url"]
    return document


def _number(optional: dict[str, Any]) -> dict[str, Any]:
    """The non-null member of `anyOf`."""
    found: dict[str, Any] = next(each for each in optional["anyOf"] if each.get("type") != "null")
    return found
