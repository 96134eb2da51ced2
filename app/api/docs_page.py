"""The OpenAPI document as one HTML page: no scripts, nothing external."""

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.reports.page import STYLE

Schema = Mapping[str, Any]


def page(document: Schema) -> str:
    """The page."""
    title = html.escape(f"{document['info']['title']} {document['info']['version']}")
    operations = [
        _operation(method.upper(), path, each)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
    schemas = [
        f"<h3 id='{html.escape(name)}'>{html.escape(name)}</h3>{_code(each)}"
        for name, each in document["components"]["schemas"].items()
    ]
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{STYLE}</style></head><body><main>\n<h1>{title}</h1><p>{html.escape(document['info']['description'])}</p>"
        "<p>For programs: <a href='/openapi.json'>/openapi.json</a></p>\n"
        f"{''.join(operations)}<h2>Schemas</h2>\n{''.join(schemas)}</main></body></html>\n"
    )


def _operation(method: str, path: str, operation: Schema) -> str:
    heading = f"<code>{method} {html.escape(path)}</code> {html.escape(operation.get('summary', ''))}"
    key = "<p>Needs an API key.</p>" if operation.get("security") else ""
    parameters = [
        (f"{each['name']} ({each['in']})", html.escape(each.get("description", "")) or _code(each["schema"]))
        for each in operation.get("parameters", ())
    ]
    body = [("body", _links(operation["requestBody"]))] if "requestBody" in operation else []
    answers = [
        (status, f"{html.escape(each['description'])} {_links(each)}")
        for status, each in operation["responses"].items()
    ]
    return (
        f"<details><summary>{heading}</summary><p>{html.escape(operation.get('description', ''))}</p>{key}"
        f"{_table([*parameters, *body])}{_table(answers)}</details>\n"
    )


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{told}</td></tr>" for name, told in rows)
    return f"<table>{cells}</table>" if cells else ""


def _links(part: Schema) -> str:
    names = [html.escape(name) for name in _referred(part)]
    return " ".join(f"<a href='#{name}'>{name}</a>" for name in dict.fromkeys(names))


def _referred(part: object) -> Iterator[str]:
    """Names of the referenced schemas."""
    if isinstance(part, Mapping):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for each in part.values():
            yield from _referred(each)
    elif isinstance(part, list):
        for each in part:
            yield from _referred(each)


def _code(schema: Schema) -> str:
    return f"<pre>{html.escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"
