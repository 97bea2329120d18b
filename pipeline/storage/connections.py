"""Connections to object stores and web servers: addresses, credentials and retries.

Transient failures (an answer of 5xx, a connection that is refused or cut, a read that takes too long) are retried TRIES
times after waits that double, about a minute in all, by obstore and tensorstore alike. Addresses and keys come from the
environment of each process, and are never written down.
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import UsageError

TRIES = 8
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # seconds
CONNECT_SECONDS, REQUEST_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class S3Settings:
    """Address and credentials of S3.

    endpoint, region: None for Amazon's own; keys: for obstore (none: it uses the machine's role); provider, profile:
    where tensorstore finds the same keys
    """

    endpoint: str | None
    region: str | None
    keys: tuple[tuple[str, str], ...]
    provider: str
    profile: str = ""

    def __repr__(self) -> str:
        return f"S3Settings({self.endpoint}, {self.region}, {self.provider})"  # without the keys

    @property
    def tensorstore(self) -> dict[str, Any]:
        return {"type": self.provider, **({"profile": self.profile} if self.profile else {})}


def s3_settings() -> S3Settings:
    """The settings, from the variables that Amazon's own tools read. Raises UsageError where a profile has no key.

    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; AWS_REGION or AWS_DEFAULT_REGION; keys from AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else from ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE) under
    AWS_PROFILE, else from the machine's role. AWS_SKIP_SIGNATURE=true asks for public data without any.
    """
    env = os.environ
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ("us-east-1" if endpoint else None)
    if env.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "yes"):
        return S3Settings(endpoint, region, (("skip_signature", "true"),), "anonymous")
    names = {
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key",
        "session_token": "aws_session_token",
    }
    if env.get("AWS_ACCESS_KEY_ID"):
        found = {ours: env[theirs.upper()] for ours, theirs in names.items() if env.get(theirs.upper())}
        return S3Settings(endpoint, region, tuple(found.items()), "environment")
    profile = env.get("AWS_PROFILE") or "default"
    file = configparser.RawConfigParser()
    try:
        file.read(Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser())
    except configparser.Error:
        raise UsageError("the file of AWS credentials is not valid: correct it, or set AWS_ACCESS_KEY_ID") from None
    if file.has_option(profile, "aws_access_key_id"):
        section = file[profile]
        found = {ours: section[theirs] for ours, theirs in names.items() if theirs in section}
        return S3Settings(endpoint, region or section.get("region"), tuple(found.items()), "profile", profile)
    if env.get("AWS_PROFILE"):
        raise UsageError(
            f"AWS profile {profile!r} has no access key in ~/.aws/credentials: for single sign-on or a role, "
            'run eval "$(aws configure export-credentials --format env)" first'
        )
    return S3Settings(endpoint, region, (), "default")


@lru_cache(maxsize=64)
def connect(scheme: str, bucket: str, prefix: str, settings: S3Settings | None, tries: int = TRIES) -> Any:
    """obstore's store of a bucket or a server, below `prefix`; one per process."""
    from obstore.store import GCSStore, HTTPStore, S3Store

    backoff = {
        "init_backoff": timedelta(seconds=FIRST_WAIT),
        "max_backoff": timedelta(seconds=LONGEST_WAIT),
        "base": 2,
    }
    retry: Any = {"max_retries": tries, "backoff": backoff, "retry_timeout": timedelta(minutes=3)}
    endpoint = settings.endpoint if settings else os.environ.get("GOOGLE_BASE_URL") if scheme == "gs" else None
    client: Any = {
        "allow_http": scheme == "http" or (endpoint or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
    }
    if settings is None:
        if scheme == "gs":
            return GCSStore(bucket, prefix=prefix or None, client_options=client, retry_config=retry)
        return HTTPStore.from_url(f"{scheme}://{bucket}/{prefix}", client_options=client, retry_config=retry)
    config: dict[str, Any] = dict(settings.keys)
    if settings.endpoint:
        config.update(endpoint=settings.endpoint, virtual_hosted_style_request=False)
    if settings.region:
        config["region"] = settings.region
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry)


def tensorstore_settings() -> dict[str, Any]:
    """The same settings for tensorstore's context; it takes timeouts from the environment only."""
    for name, seconds in (("CONNECT_TIMEOUT_SECONDS", CONNECT_SECONDS), ("LOW_SPEED_TIME_SECONDS", REQUEST_SECONDS)):
        os.environ.setdefault(f"TENSORSTORE_CURL_{name}", str(int(seconds)))
    os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES", "1")  # a second
    policy = {"max_retries": TRIES, "initial_delay": f"{FIRST_WAIT}s", "max_delay": f"{LONGEST_WAIT}s"}
    return {"s3_request_retries": policy, "gcs_request_retries": policy, "http_request_retries": policy}


def obstore_module() -> Any:
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise UsageError("object stores and web servers need obstore: pip install 'gridstride[remote]'") from None
    return obstore
