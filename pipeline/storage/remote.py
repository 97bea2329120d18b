"""Places in an object store (s3://bucket/key, gs://bucket/key) or on a web server (http://, https://; read only).

obstore moves small objects, lists and compares, and zarr-python goes through it; tensorstore moves chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage.connections import TRIES, connect, obstore_module, s3_settings

SCHEMES = ("s3", "gs", "http", "https")
DELETED_AT_ONCE = 1000  # objects in one request: S3's limit


class RemoteError(JobFailed):
    """A request to an object store or a web server failed; the text says what to check."""


class Denied(RemoteError):
    """The store answered that we may not do it."""


@dataclass(frozen=True)
class Head:
    """Metadata of an object: its size in bytes, its tag (changes with its content), its time in seconds."""

    size: int
    tag: str
    modified: float


@dataclass(frozen=True)
class Remote:
    """A place: an object, or all objects whose keys begin with `key/`. It has what we use of `pathlib.Path`.

    bucket: of s3 and gs; for http and https, host and port
    """

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> Remote:
        return Remote(self.scheme, self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2] or self.bucket

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def parent(self) -> Remote:
        return Remote(self.scheme, self.bucket, self.key.rpartition("/")[0])

    @property
    def parents(self) -> list[Remote]:
        """All places around this one, the nearest first."""
        parts = self.key.split("/") if self.key else []
        return [Remote(self.scheme, self.bucket, "/".join(parts[:n])) for n in reversed(range(len(parts)))]

    def resolve(self) -> Remote:
        return self

    @property
    def read_only(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def _tag(self) -> str:
        """obstore's name of the value that changes with an object's content; Google's store counts generations."""
        return "version" if self.scheme == "gs" else "e_tag"

    def mkdir(self, **_: Any) -> None:
        """Does nothing: a folder exists while there are objects in it."""

    def is_file(self) -> bool:
        """Whether there is an object of this key."""
        try:
            self.head()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there is an object below this key; False on a web server, which does not list."""
        return not self.read_only and bool(self.names())

    def exists(self) -> bool:
        return self.is_file() if self.key and self.is_file() else self.is_dir()

    def head(self) -> Head:
        """Raises FileNotFoundError if there is no such object."""
        with self._told():
            meta = obstore_module().head(self._store(), self.key)
        modified = meta["last_modified"].timestamp()
        return Head(meta["size"], str(meta[self._tag] or modified), modified)

    def read_bytes(self) -> bytes:
        """Raises FileNotFoundError if there is no such object."""
        with self._told():
            return bytes(obstore_module().get(self._store(), self.key).bytes())

    def read_text(self) -> str:
        return self.read_bytes().decode(errors="replace")

    def write_bytes(self, data: bytes, after: str | None = None) -> str:
        """Put an object; on return it is whole, durable and seen by every reader.

        after: put it only if the object there now has this tag, or, if "", only if there is none
        Returns its tag, or "" if it was not put.
        """
        if self.read_only:
            raise UsageError(f"{self} cannot be written: web servers are read only here")
        mode: Any = "overwrite" if after is None else "create" if after == "" else {self._tag: after}
        obstore = obstore_module()
        try:
            with self._told():
                # One request: a file of several parts would not obey `after`.
                put = obstore.put(self._store(), self.key, data, mode=mode, use_multipart=False)
        except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
            return ""
        return str(put[self._tag] or self.head().tag)

    def unlink(self) -> None:
        """Delete an object, if it is there."""
        with suppress(FileNotFoundError), self._told():  # Google's store reports a missing object, S3 does not
            obstore_module().delete(self._store(), self.key)

    def names(self) -> set[str]:
        """Names of the objects and folders directly in this place."""
        with self._told():
            found = obstore_module().list_with_delimiter(self._store(), self.key or None)
        keys = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return {key.rstrip("/").rpartition("/")[2] for key in keys}

    def each_key(self) -> Iterator[str]:
        """Keys of all objects in this place, at any depth, as they are listed."""
        with self._told():
            for page in obstore_module().list(self._store(), self.key or None, chunk_size=1000):
                yield from (item["path"] for item in page)

    def clear(self, keep: str = "") -> None:
        """Delete every object in this place, except the one named `keep`."""
        kept = (self / keep).key
        keys = [key for key in self.each_key() if key != kept]
        with self._told():
            for first in range(0, len(keys), DELETED_AT_ONCE):
                obstore_module().delete(self._store(), keys[first : first + DELETED_AT_ONCE])

    def contact(self) -> None:
        """Send one request, with one retry. Raises UsageError if the store does not answer or denies access."""
        try:
            with self._told():
                if self.read_only:
                    obstore_module().head(self._store(tries=1), self.key)
                else:
                    obstore_module().list_with_delimiter(self._store(tries=1), self.key or None)
        except FileNotFoundError:
            pass
        except RemoteError as error:
            raise UsageError(str(error)) from error

    # --- for zarr-python and tensorstore ------------------------------------------------------------------------

    def zarr_store(self, read_only: bool = True) -> Any:
        """This place as a store of zarr-python."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._store(prefix=self.key), read_only=read_only)

    def kvstore(self) -> dict[str, Any]:
        """This place as a key-value store of tensorstore: its specification, without secrets."""
        if self.read_only:
            return {"driver": "http", "base_url": f"{self}/"}
        if self.scheme == "gs":
            return {"driver": "gcs", "bucket": self.bucket, "path": f"{self.key}/"}
        settings = s3_settings()
        spec: dict[str, Any] = {"driver": "s3", "bucket": self.bucket, "path": f"{self.key}/"}
        spec["aws_credentials"] = settings.tensorstore
        if settings.endpoint:
            spec["endpoint"] = settings.endpoint
        if settings.region:
            spec["aws_region"] = settings.region
        return spec

    def _store(self, prefix: str = "", tries: int = TRIES) -> Any:
        return connect(self.scheme, self.bucket, prefix, s3_settings() if self.scheme == "s3" else None, tries)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises RemoteError with one line for errors of obstore, without signed addresses or the answer's details."""
        obstore = obstore_module()
        passed = (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError)
        try:
            yield
        except FileNotFoundError as error:
            # Either the object or its bucket is missing.
            if "NoSuchBucket" in str(error):
                raise RemoteError(self.explain(str(error))) from error
            raise FileNotFoundError(f"{self} does not exist") from error
        except passed:
            raise
        except (obstore.exceptions.PermissionDeniedError, obstore.exceptions.UnauthenticatedError) as error:
            raise Denied(self.explain(str(error))) from error
        except obstore.exceptions.BaseError as error:
            raise RemoteError(self.explain(str(error))) from error

    def is_lost(self, error: Exception) -> bool:
        """Whether an error of obstore or tensorstore concerns the whole store rather than one object in it."""
        if isinstance(error, obstore_module().exceptions.BaseError):
            return True
        words = ("retry attempts failed", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNAVAILABLE", "credentials")
        return any(word in str(error) for word in words)

    def explain(self, text: str) -> str:
        """One line for an error of obstore or tensorstore: what is wrong, and what to check."""
        code = next(iter(re.findall(r"<Code>(\w+)</Code>", text)), "")
        status = re.search(r"(?:status code: |http_response_code=')(\d{3})", text)
        number = int(status[1]) if status else 0
        where = self._where()
        keys = {
            "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)",
            "gs": "GOOGLE_APPLICATION_CREDENTIALS",
        }.get(self.scheme, "")
        if (
            "169.254.169.254" in text
            or "metadata.google" in text
            or "Failed to get credentials" in text
            or "Missing " in text
        ):
            free = "AWS_SKIP_SIGNATURE=true" if self.scheme == "s3" else "GOOGLE_SKIP_SIGNATURE=true"
            return f"{self}: no credentials: set {keys}, or {free} if the data is public"
        if code == "NoSuchBucket":
            return f"{self}: there is no bucket {self.bucket!r} {where}: check the name{self._endpoint_hint()}"
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken") or number == 401:
            return f"{self}: the credentials are not accepted {where} ({code or number}): check {keys or 'the address'}"
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed") or number == 301 or "redirect" in text:
            return f"{self}: the bucket is in another region: set AWS_REGION"
        if code == "AccessDenied" or number == 403 or "PERMISSION_DENIED" in text:
            check = f"check {keys}, and what they may do with this bucket" if keys else "it is not public"
            return f"{self}: access denied {where}: {check}"
        if "error sending request" in text or "CURL error" in text or "dns error" in text:
            return f"{self}: no answer {where}: check the network{self._endpoint_hint()}"
        reason = ", ".join([code] * bool(code) + [f"HTTP status {number}"] * bool(number))
        return f"{self}: {reason or ' '.join(text.splitlines()[0].split())[:200]} {where}"

    def _where(self) -> str:
        if self.read_only:
            return f"from {self.bucket}"
        endpoint = s3_settings().endpoint if self.scheme == "s3" else None
        return f"at {endpoint}" if endpoint else "at Amazon S3" if self.scheme == "s3" else "at Google Cloud Storage"

    def _endpoint_hint(self) -> str:
        return " and AWS_ENDPOINT_URL" if self.scheme == "s3" else ""


def parse(text: str) -> Remote:
    """A place from its address. Raises UsageError for an address that is not supported."""
    shown = re.sub(r"//[^/]*@", "//...@", text.partition("?")[0])
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise UsageError(f"{shown}: expected a path, or s3://, gs://, http:// or https://")
    if "@" in parts.netloc:
        raise UsageError(f"{shown}: an address must not contain credentials: set them in the environment")
    if parts.query or parts.fragment:
        raise UsageError(f"{shown}: expected an address without ? and #")
    if not parts.netloc:
        raise UsageError(f"{shown}: expected {scheme}://{'BUCKET/KEY' if scheme in ('s3', 'gs') else 'HOST/PATH'}")
    key = parts.path.strip("/")
    if any(part in ("", ".", "..") for part in key.split("/")) and key:
        raise UsageError(f"{shown}: expected an address without empty parts, '.' and '..'")
    return Remote(scheme, parts.netloc, key)
