"""`GET /api/public/projects`: the project of the key that asks; SDKs check their credentials with it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from pipeline.ingest.answers import json_answer
from pipeline.ingest.auth import authenticate_fully
from pipeline.ingest.front import front_of

router = APIRouter()


@router.get("/api/public/projects")
async def projects(request: Request) -> Response:
    """One project; `metadata` is never null, which SDKs insist on."""
    project = (await authenticate_fully(request, front_of(request).directory)).project
    organization = {"id": project.organization.id, "name": project.organization.name}
    found = {"id": project.id, "name": project.name, "organization": organization, "metadata": dict(project.metadata)}
    return json_answer({"data": [found]})
