"""File upload: send files from a form or a script, list, download and delete them.

The app's own disk does not survive sleep, so files are kept in MongoDB by GridFS, which
cuts each file into pieces and stores those as documents.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from bson import ObjectId
from fastapi import Depends, FastAPI, File, HTTPException, Request, Response, UploadFile, status
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from gridfs import AsyncGridFSBucket, NoFile
from gridfs.asynchronous import AsyncGridOut
from pydantic import BaseModel
from pymongo import AsyncMongoClient
from starlette.middleware.base import RequestResponseEndpoint

HERE = Path(__file__).parent
MONGO_URI = os.environ.get("PLATFORM_MONGO_URI", "mongodb://localhost:27017/examples")
MAX_MEGABYTES = 5
MAX_BYTES = MAX_MEGABYTES * 1024 * 1024
FORM_OVERHEAD = 10 * 1024  # what a multipart form adds around the file


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to MongoDB when the app starts, disconnect when it stops."""
    async with AsyncMongoClient(MONGO_URI, tz_aware=True, serverSelectionTimeoutMS=5000) as client:
        # GridFS keeps this bucket in the collections uploads.files and uploads.chunks.
        app.state.bucket = AsyncGridFSBucket(client.get_default_database(), "uploads")
        yield


app = FastAPI(title="File upload", lifespan=lifespan)
app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
templates = Jinja2Templates(directory=HERE / "templates")

TOO_LARGE = f"A file may have at most {MAX_MEGABYTES} MB."


@app.middleware("http")
async def refuse_large_requests(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Say no before a byte of a too large upload is read."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_BYTES + FORM_OVERHEAD:
        return JSONResponse({"detail": TOO_LARGE}, status.HTTP_413_CONTENT_TOO_LARGE)
    return await call_next(request)


class StoredFile(BaseModel):
    """What we tell about a file: everything but its content."""

    id: str
    name: str
    size: int
    content_type: str
    uploaded_at: datetime

    @classmethod
    def of(cls, file: AsyncGridOut) -> "StoredFile":
        return cls(
            id=str(file._id),
            name=file.filename or "unnamed",
            size=file.length,
            content_type=(file.metadata or {}).get("content_type", "application/octet-stream"),
            uploaded_at=file.upload_date,
        )


# --- Dependencies -------------------------------------------------------------------------


def get_bucket(request: Request) -> AsyncGridFSBucket:
    return request.app.state.bucket


Bucket = Annotated[AsyncGridFSBucket, Depends(get_bucket)]


async def open_file(file_id: str, bucket: Bucket) -> AsyncGridOut:
    """Open the file named in the path, or answer 404."""
    try:
        if ObjectId.is_valid(file_id):
            return await bucket.open_download_stream(ObjectId(file_id))
    except NoFile:
        pass
    raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no file with the id '{file_id}'.")


OpenFile = Annotated[AsyncGridOut, Depends(open_file)]


async def store(upload: Annotated[UploadFile, File(alias="file")], bucket: Bucket) -> AsyncGridOut:
    """Check an upload and put it into GridFS."""
    # A request without Content-Length passes the middleware, so the real size counts here.
    if (upload.size or 0) > MAX_BYTES:
        raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, TOO_LARGE)
    name = Path(upload.filename or "unnamed").name[:200]  # no folders, no endless names
    metadata = {"content_type": upload.content_type or "application/octet-stream"}
    file_id = await bucket.upload_from_stream(name, upload, metadata=metadata)
    return await bucket.open_download_stream(file_id)


Stored = Annotated[AsyncGridOut, Depends(store)]


async def newest_files(bucket: AsyncGridFSBucket) -> list[StoredFile]:
    cursor = bucket.find().sort("_id", -1).limit(100)
    return [StoredFile.of(file) async for file in cursor]


# --- The JSON API -------------------------------------------------------------------------


@app.post("/files", status_code=status.HTTP_201_CREATED)
async def upload_file(file: Stored) -> StoredFile:
    """Upload one file as the multipart field `file`."""
    return StoredFile.of(file)


@app.get("/files")
async def list_files(bucket: Bucket) -> list[StoredFile]:
    """The latest 100 files."""
    return await newest_files(bucket)


@app.get("/files/{file_id}")
async def describe_file(file: OpenFile) -> StoredFile:
    return StoredFile.of(file)


@app.get("/files/{file_id}/content")
async def download_file(file: OpenFile) -> StreamingResponse:
    """Send the file piece by piece, never all of it in memory."""
    stored = StoredFile.of(file)

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await file.readchunk():
            yield piece

    headers = {
        "Content-Length": str(stored.size),
        # Always saved, never shown: an uploaded HTML file must not run as a page of this site.
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stored.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces(), media_type=stored.content_type, headers=headers)


@app.delete("/files/{file_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_file(file: OpenFile, bucket: Bucket) -> Response:
    await bucket.delete(file._id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


# --- The page, with plain HTML forms ------------------------------------------------------


@app.get("/", response_class=HTMLResponse)
async def page(request: Request, bucket: Bucket) -> Response:
    context = {"files": await newest_files(bucket), "max_megabytes": MAX_MEGABYTES}
    return templates.TemplateResponse(request, "index.html", context)


@app.post("/upload")
async def upload_from_form(_: Stored) -> RedirectResponse:
    return RedirectResponse("/", status.HTTP_303_SEE_OTHER)


@app.post("/files/{file_id}/delete")
async def delete_from_form(file: OpenFile, bucket: Bucket) -> RedirectResponse:
    await bucket.delete(file._id)
    return RedirectResponse("/", status.HTTP_303_SEE_OTHER)
