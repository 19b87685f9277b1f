"""A stream that becomes an S3 object: in one request, or in parts where it is long."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from pipeline.storage.connection import PART_BYTES
from pipeline.storage.explain import error_code
from pipeline.storage.requests import GONE, S3Object

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Upload(io.BufferedIOBase):
    """What is written to it is there after `finish`, and nothing before that or after `abandon`."""

    def __init__(self, target: S3Object) -> None:
        self._target = target
        self._unsent = bytearray()
        self._size = 0
        self._id = ""
        self._etags: list[str] = []

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        """Take content, and send a part of `PART_BYTES` whenever there is that much.

        Raises
        ------
        OSError
            If the store refuses the part.
        """
        content = memoryview(data).cast("B")
        for start in range(0, len(content), PART_BYTES):
            self._unsent += content[start : start + PART_BYTES]
            if len(self._unsent) >= PART_BYTES:
                self._send(PART_BYTES)
        self._size += len(content)
        return len(content)

    def finish(self) -> None:
        """Make it an object.

        Raises
        ------
        OSError
            If the store refuses.
        """
        if not self._id:
            self._target.put(bytes(self._unsent))
            return
        if self._unsent:
            self._send(len(self._unsent))
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, 1)]
        try:
            self._ask("complete_multipart_upload", MultipartUpload={"Parts": parts})
        except OSError as error:
            # Sent again after a success of which no answer came; that is known by the etag of the parts.
            if error_code(error) not in GONE or self._target.info().etag != _etag_of_parts(self._etags):
                raise

    def abandon(self) -> None:
        """Have the store forget the parts.

        Raises
        ------
        OSError
            If the store refuses.
        """
        if self._id:
            self._ask("abort_multipart_upload")

    def _send(self, size: int) -> None:
        if not self._id:
            self._id = self._target.call("create_multipart_upload")["UploadId"]
        with memoryview(self._unsent) as unsent:
            part = bytes(unsent[:size])
        answer = self._ask("upload_part", PartNumber=len(self._etags) + 1, Body=part)
        self._etags.append(answer["ETag"])
        del self._unsent[:size]

    def _ask(self, operation: str, **arguments: object) -> dict[str, str]:
        return self._target.call(operation, UploadId=self._id, **arguments)


def _etag_of_parts(etags: list[str]) -> str:
    digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"
