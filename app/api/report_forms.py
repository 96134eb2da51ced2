"""A job's report in each form, for the API and the console. HTML and PDF take turns outside the event loop."""

import asyncio

from fastapi import Response

from app.api.backend import Backend
from app.api.models import ReportDocument
from app.api.problems import Refused
from app.api.report_page import POLICY, page
from app.api.report_pdf import Typesetter
from app.jobs.states import MEDIA, Format
from safe_http.turns import Turns

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
        text, result = found
        match form:
            case "md":
                return Response(text, media_type=MEDIA[form])
            case "html" | "pdf":
                stored = await here.service.deps.evidence.many(job_id, [each["id"] for each in result.evidence])
                if form == "pdf":
                    return Response(await self._typesetter.pdf(text, stored, tenant), media_type=MEDIA[form])
                async with self._pages.turn(tenant):  # rendering may take a second; other requests go on meanwhile
                    shown = await asyncio.to_thread(page, text, stored)
                return Response(shown, media_type=MEDIA[form], headers={"Content-Security-Policy": POLICY})
            case "json":
                told = ReportDocument(result=result.model_dump(mode="json", exclude={"report_path"}), report=text)
                return Response(told.model_dump_json(), media_type=MEDIA[form])
