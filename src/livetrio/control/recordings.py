"""/v1/recordings: begin and end them, list, download by byte range, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from quart import request
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from livetrio.control.answers import BadRequest, json_answer, problem
from livetrio.control.context import ControlContext
from livetrio.control.fields import PAGING, body_fields, paged
from livetrio.control.pages import file_below
from livetrio.control.table import Answer, Operation, Parameter
from livetrio.delivery.archive import Archive
from livetrio.delivery.record_formats import FORMATS
from livetrio.delivery.recording import Recording
from livetrio.delivery.recordings import Recordings
from livetrio.delivery.timeshift import moment
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["RecordingsApi"]

_OBJECT = {"type": "object"}
_BODY = {
    "type": "object",
    "properties": {"format": {"enum": list(FORMATS)}},
}
_LIST = {
    "type": "object",
    "required": ["recordings"],
    "properties": {"recordings": {"type": "array", "items": _OBJECT}},
}
_INTERVAL = tuple(
    Parameter(name, f"{what}: Unix seconds, or RFC 3339", required=True)
    for name, what in (("from", "its beginning"), ("to", "its end"))
)
_TYPES = {"flv": "video/x-flv", "fmp4": "video/mp4", "ts": "video/mp2t"}


class RecordingsApi:
    """The handlers. Refusals they raise become problem details."""

    def __init__(self, context: ControlContext, recordings: Recordings, archive: Archive) -> None:
        self._context = context
        self._recordings = recordings
        self._archive = archive

    def operations(self) -> list[Operation]:
        """For the table."""
        stream = (
            Parameter("app", "application", "path", required=True),
            Parameter("name", "stream name; may hold slashes", "path", required=True),
        )
        one = (Parameter("id", "recording id", "path", required=True),)
        get = ("GET", "HEAD")
        missing = {404: Answer("there is no such thing")}
        return [
            Operation(
                "/v1/streams/{app}/{name}/recording",
                ("POST",),
                "Begin to record a stream",
                self.start,
                "recordings",
                {201: Answer("begun", _OBJECT), 409: Answer("it is recorded already")} | missing,
                parameters=stream,
                body=_BODY,
            ),
            Operation(
                "/v1/streams/{app}/{name}/recording",
                ("DELETE",),
                "End a stream's recording; answers when the file is whole",
                self.stop,
                "recordings",
                {200: Answer("ended", _OBJECT)} | missing,
                parameters=stream,
            ),
            Operation(
                "/v1/streams/{app}/{name}/clip", get,
                "An interval as MP4, cut at key frames, out of recordings or memory", self.clip,
                "recordings", {200: Answer("the clip", {}, "video/mp4")} | missing,
                parameters=(*stream, *_INTERVAL),
            ),
            Operation(
                "/v1/recordings", get, "All recordings, the oldest first", self.list,
                "recordings", {200: Answer("the list", _LIST)}, parameters=PAGING,
            ),
            Operation(
                "/v1/recordings/{id}/file", get, "The file, whole or by byte range", self.file,
                "recordings", {200: Answer("the file", {}, "video/*"),
                206: Answer("the part asked for", {}, "video/*"),
                416: Answer("no such part")} | missing, parameters=one,
            ),
            Operation(
                "/v1/recordings/{id}", ("DELETE",), "Delete a recording", self.delete,
                "recordings", {200: Answer("deleted", _OBJECT)} | missing, parameters=one,
            ),
        ]  # fmt: skip

    async def start(self, app: str, name: str) -> Response:
        """POST /v1/streams/{app}/{name}/recording"""
        self._context.check_app(app)
        word = "fmp4"
        if request.content_length:
            (word,) = await body_fields("format")
        for format_ in FORMATS:
            if format_ == word:
                await self._context.registry.wanted(StreamKey(app, name))  # made on demand?
                self._recordings.start(StreamKey(app, name), format_)
                return json_answer({"app": app, "name": name, "format": format_}, 201)
        raise BadRequest(f"format is none of {', '.join(FORMATS)}")

    async def stop(self, app: str, name: str) -> Response:
        """DELETE /v1/streams/{app}/{name}/recording"""
        self._context.check_app(app)
        recording = await self._recordings.stop(StreamKey(app, name))
        return json_answer({"recording": recording and self._view(recording)})

    async def list(self) -> Response:
        """GET /v1/recordings"""
        chosen, about = paged(self._recordings.every())
        return json_answer({**about, "recordings": [self._view(one) for one in chosen]})

    async def file(self, id: str) -> Response:
        """GET /v1/recordings/{id}/file"""
        recording = self._find(id)
        try:
            response = await file_below(self._recordings.options.folder, recording.path)
        except RequestedRangeNotSatisfiable:
            refused = problem(416, "there is no such range")
            size = self._recordings.path(recording).stat().st_size
            refused.headers["Content-Range"] = f"bytes */{size}"
            return refused
        response.content_type = _TYPES[recording.format]
        response.headers["Content-Disposition"] = (
            f"inline; filename*=UTF-8''{quote(recording.path.rpartition('/')[2])}"
        )
        response.headers["Accept-Ranges"] = "bytes"
        return response

    async def clip(self, app: str, name: str) -> Response:
        """GET /v1/streams/{app}/{name}/clip"""
        start, end = (moment(request.args.get(which, ""), which) for which in ("from", "to"))
        key = StreamKey(check_name(app), check_name(name))
        found = await self._archive.clip(key, start, end)
        began = datetime.fromtimestamp(found.start, UTC)
        file = f"{name.rpartition('/')[2]}-{began:%Y%m%dT%H%M%SZ}.mp4"
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}",
            "Livetrio-Start": began.isoformat(timespec="milliseconds"),
        }
        response = Response(self._archive.mp4(found), 200, headers, content_type="video/mp4")
        response.timeout = None  # as long as the reader takes; a slow one is the connection's
        return response

    async def delete(self, id: str) -> Response:
        """DELETE /v1/recordings/{id}"""
        recording = self._find(id)
        self._context.check_app(recording.app)
        await self._recordings.delete(recording)
        return json_answer({"deleted": recording.id})

    def _find(self, id_: str) -> Recording:
        recording = self._recordings.find(id_)
        if recording is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such recording")
        return recording

    @staticmethod
    def _view(recording: Recording) -> dict[str, Any]:
        return {
            "id": recording.id,
            "app": recording.app,
            "name": recording.name,
            "format": recording.format,
            "start": recording.start,
            "duration": round(recording.duration, 3),
            "size": recording.size,
            "codecs": recording.codecs,
            "finished": recording.finished,
            "url": f"/v1/recordings/{recording.id}/file",
        }
