"""A job's report in each form, for the API and the console. Forms take turns outside the event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Response

from app.api.backend import Backend
from app.api.models import ReportDocument
from app.api.problems import Refused
from app.errors import NotTypeset
from app.jobs.kept import Reported
from app.jobs.states import MEDIA, Format
from app.reports.document import Document, document
from app.reports.page import POLICY, article, page
from app.reports.pdf import Typesetter
from app.reports.word import pictures_of, word
from safe_http.turns import Turns

T = TypeVar("T")

PAGES_AT_ONCE = 2


class ReportForms:
    """Makes reports. One per process, for its limits."""

    def __init__(self) -> None:
        self._typesetter, self._pages = Typesetter(), Turns(lambda: PAGES_AT_ONCE)

    async def made(self, here: Backend, tenant: str, job_id: str, form: Format) -> Response:
        """The report of a tenant's job. Raises NoSuchJob, Refused if there is none, or as `Typesetter.pdf`."""
        record = await here.service.get(tenant, job_id)
        found = await here.service.jobs.report(record)
        if found is None:
            raise Refused("no-report", f"{job_id} has no report; its status is {record.status}")
        if form == "md":
            return Response(found.text, media_type=MEDIA[form])
        if form == "json":
            told = ReportDocument(
                result=found.result.model_dump(mode="json", exclude={"report_path"}), report=found.text
            )
            return Response(told.model_dump_json(), media_type=MEDIA[form])
        if form == "html":
            shown = await self._rendered(here, tenant, found, page)
            return Response(shown, media_type=MEDIA[form], headers={"Content-Security-Policy": POLICY})
        read = await self._rendered(here, tenant, found, lambda read: read)
        if form == "pdf":
            return Response(await self._typesetter.pdf(read, tenant), media_type=MEDIA[form])
        try:
            pictures = await self._typesetter.pictures(pictures_of(read), tenant)
        except NotTypeset:
            pictures = {}  # the document says where its charts are
        async with self._pages.turn(tenant):
            return Response(await asyncio.to_thread(word, read, pictures), media_type=MEDIA[form])

    async def article(self, here: Backend, tenant: str, job_id: str) -> str | None:
        """The report as part of a page; None if there is none. Raises NoSuchJob."""
        found = await here.service.jobs.report(await here.service.get(tenant, job_id))
        return await self._rendered(here, tenant, found, article) if found else None

    async def _rendered(self, here: Backend, tenant: str, found: Reported, render: Callable[[Document], T]) -> T:
        """What this makes of the report. It may take a second; other requests go on meanwhile."""
        ids = [each["id"] for each in found.result.evidence]
        stored = await here.service.deps.evidence.many(found.record.job_id, ids)
        async with self._pages.turn(tenant):
            return await asyncio.to_thread(lambda: render(document(found, stored)))
