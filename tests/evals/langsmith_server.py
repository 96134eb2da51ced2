"""A LangSmith on this machine: as much of its HTTP API as its client uses for data sets, experiments and feedback.

It keeps what it is told. The client is the real one, which is given its address.
"""

import json
import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
KEY = "lsv2_test"


@dataclass
class LangSmith:
    """What was stored, by id."""

    datasets: dict[str, Json] = field(default_factory=dict)
    examples: dict[str, Json] = field(default_factory=dict)
    projects: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    feedback: dict[str, Json] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)  # what it was asked and does not do

    @property
    def app(self) -> Starlette:
        routes = [
            Route("/info", lambda _: JSONResponse({"version": "0.10", "batch_ingest_config": BATCHES})),
            Route("/settings", lambda _: JSONResponse({"id": str(OWNER), "display_name": "test", "created_at": NOW})),
            Route("/datasets", self._made_dataset, methods=["POST"]),
            Route("/datasets", self._listed_datasets),
            Route("/datasets/{id}", self._dataset),
            Route("/datasets/{id}/tags", self._tagged, methods=["PUT"]),
            Route("/examples/bulk", self._made_examples, methods=["POST"]),
            Route("/examples", self._made_example, methods=["POST"]),
            Route("/examples", self._listed_examples),
            Route("/examples/{id}", self._example),
            Route("/sessions", self._made_project, methods=["POST"]),
            Route("/sessions", self._listed_projects),
            Route("/sessions/{id}", self._changed_project, methods=["PATCH"]),
            Route("/runs/multipart", self._ingested, methods=["POST"]),
            Route("/{path:path}", self._unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        app = Starlette(routes=routes)
        app.add_middleware(_Keyed)
        return app

    async def _made_dataset(self, request: Request) -> Response:
        made = {"id": str(uuid.uuid4()), "created_at": NOW, **await request.json()}
        if any(each["name"] == made["name"] for each in self.datasets.values()):
            return JSONResponse({"detail": "exists"}, 409)
        return JSONResponse(self.datasets.setdefault(made["id"], made))

    async def _listed_datasets(self, request: Request) -> Response:
        return _page(request, [each for each in self.datasets.values() if each["name"] == request.query_params["name"]])

    async def _dataset(self, request: Request) -> Response:
        return JSONResponse(self.datasets[request.path_params["id"]])

    async def _tagged(self, request: Request) -> Response:
        self.datasets[request.path_params["id"]]["tagged"] = await request.json()
        return JSONResponse({})

    async def _made_examples(self, request: Request) -> Response:
        made = [{"id": str(uuid.uuid4()), **each} for each in await request.json()]
        assert all(each["dataset_id"] in self.datasets for each in made)
        self.examples |= {each["id"]: each for each in made}
        return JSONResponse(made)

    async def _made_example(self, request: Request) -> Response:
        made = await request.json()
        return JSONResponse(self.examples.setdefault(made["id"], {"modified_at": NOW, **made}))

    async def _example(self, request: Request) -> Response:
        found = self.examples.get(request.path_params["id"])
        return JSONResponse(found or {"detail": "Not Found"}, 200 if found else 404)

    async def _listed_examples(self, request: Request) -> Response:
        of = request.query_params["dataset"]
        return _page(request, [each for each in self.examples.values() if each["dataset_id"] == of])

    async def _made_project(self, request: Request) -> Response:
        told = await request.json()
        made = {"id": str(uuid.uuid4()), "tenant_id": str(OWNER), "reference_dataset_id": None, **told}
        return JSONResponse(self.projects.setdefault(made["id"], made))

    async def _listed_projects(self, request: Request) -> Response:
        name = request.query_params.get("name")
        return _page(request, [each for each in self.projects.values() if name in {None, each["name"]}])

    async def _changed_project(self, request: Request) -> Response:
        project = self.projects[request.path_params["id"]]
        project |= _given(await request.json())
        return JSONResponse(project)

    async def _unknown(self, request: Request) -> Response:
        self.unknown.append(f"{request.method} {request.url.path}")
        return JSONResponse({"detail": "Not Found"}, 404)

    async def _ingested(self, request: Request) -> Response:
        """Parts are called `post.<run>`, `patch.<run>.outputs` or `feedback.<id>`; each is JSON."""
        async with request.form() as form:
            for name, part in form.multi_items():
                kind, at, *rest = name.split(".")
                told = json.loads(part if isinstance(part, str) else await part.read())
                kept = (self.feedback if kind == "feedback" else self.runs).setdefault(at, {})
                kept |= {rest[0]: told} if rest else _given(told)
        return JSONResponse({}, 202)


NOW = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
OWNER = uuid.uuid4()
BATCHES = {
    "use_multipart_endpoint": True,
    "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 1,
    "scale_down_nempty_trigger": 4,
    "size_limit": 100,
    "size_limit_bytes": 20_971_520,
}


class _Keyed:
    """Refuses who has not the key."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        is_known = scope["type"] != "http" or dict(scope["headers"]).get(b"x-api-key") == KEY.encode()
        answer = self._app if is_known else JSONResponse({"detail": "Invalid token"}, 401)
        await answer(scope, receive, send)


def _given(told: Json) -> Json:
    """A change without what is left as it is."""
    return {key: value for key, value in told.items() if value is not None}


def _page(request: Request, found: list[Json]) -> Response:
    offset, limit = (int(request.query_params.get(each, usual)) for each, usual in (("offset", 0), ("limit", 100)))
    return JSONResponse(found[offset : offset + limit])
