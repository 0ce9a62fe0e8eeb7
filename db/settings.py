"""Every setting once: its name, environment variable, default and reason."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from db.errors import UsageError

PREFIX = "NIGHTSHELF_"

# sun_path of a unix socket is 108 bytes on Linux, the terminating zero included: unix(7).
MAX_SOCKET_PATH_BYTES = 107

# What .env.example has for every password.
PLACEHOLDER = "change-me"


class Settings(BaseSettings):
    """The settings of one process, read from `NIGHTSHELF_…` variables. All durations in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Path = Field(
        Path("~/.nightshelf"),
        description="Folder of everything that is not a row: models, detections, job outputs, "
        "and the embedded broker and database. Workers on several machines need it shared, or "
        "`files_url` set: then it is each machine's own, for copies.",
    )
    files_url: str = Field(
        "",
        description="Object store in which models, detections and job outputs are kept, for "
        "example `s3://bucket/nightshelf`; its credentials and endpoint are those of its own "
        "client (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_S3` …). Empty: they are kept under `home`.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="SQLAlchemy address of the database, for example "
        "`postgresql+psycopg://user:password@host/nightshelf`. Empty: a SQLite file under `home`.",
    )
    broker_url: SecretStr = Field(
        SecretStr(""),
        description="Address of Redis or Valkey, for example `redis://:password@host:6379/0`. "
        "Empty: the embedded server's socket under `home`.",
    )
    roots: str = Field(
        "/",
        description="Folders, separated by `:`, that videos and weights must lie under, after "
        "symbolic links are resolved. The default allows the whole machine; narrow it where "
        "others may enqueue.",
    )
    devices: str = Field(
        "auto",
        description="Devices of `nightshelf worker`, separated by commas: `cuda:0,cuda:1`, `cpu`. "
        "`auto`: every CUDA device, or the CPU where there is none. One worker each.",
    )
    device: str = Field(
        "cpu",
        description="Device of one worker process. `nightshelf worker` sets it for those it "
        "starts; nobody else needs to.",
    )
    segment_s: float = Field(
        600.0,
        gt=0,
        description="A longer video is cut into segments of about this length, detected as jobs "
        "of their own, on any worker.",
    )
    lease_s: float = Field(
        60.0, gt=0, description="How long a claim holds without a sign of life from its worker."
    )
    heartbeat_s: float = Field(
        15.0,
        gt=0,
        description="How often a worker renews its lease. A third of the lease or less, so that "
        "one lost renewal does not lose the job.",
    )
    progress_s: float = Field(
        1.0, gt=0, description="Progress is written, and a wish to cancel read, no more often."
    )
    reconcile_s: float = Field(
        15.0, gt=0, description="How often the reconciler looks for dead and forgotten jobs."
    )
    ring_depth: int = Field(
        4,
        ge=1,
        description="How many messages may be outstanding on a queue; jobs beyond that wait in "
        "SQL, so that priorities hold and Redis stays small. A few per worker.",
    )
    ring_again_s: float = Field(
        30.0,
        gt=0,
        description="A queued job that nobody claimed for this long after its message was sent "
        "is rung for again if the broker holds fewer messages than were sent: it may be lost.",
    )
    max_attempts: int = Field(
        3, ge=1, description="A job that failed this often, not by its input's fault, has failed."
    )
    retry_backoff_s: float = Field(
        10.0, ge=0, description="Wait before the second attempt; doubled before each further one."
    )
    deadline_s: float = Field(
        12 * 3600.0,
        gt=0,
        description="An attempt that runs longer is stopped: a night's length. Of a training, each "
        "epoch may take that long.",
    )
    stall_timeout_s: float = Field(
        300.0,
        gt=0,
        description="An attempt without progress for this long is stopped. Loading a model and "
        "the first frame must fit into it.",
    )
    stop_grace_s: float = Field(
        10.0,
        gt=0,
        description="How long a job that was told to stop may take to reach its next checkpoint "
        "before its runner is killed.",
    )
    runner_max_jobs: int = Field(
        200, ge=1, description="A runner is replaced after this many jobs, against slow leaks."
    )
    runner_memory_mb: int = Field(
        8192, ge=512, description="A runner whose resident memory exceeds this is killed (MiB)."
    )
    flower_port: int = Field(5555, ge=1, le=65535, description="Port of Flower, on loopback.")
    flower_auth: SecretStr = Field(
        SecretStr(""),
        description="Who may look at Flower, `user:password`, several separated by commas. Empty: "
        "everybody on this machine.",
    )
    log_level: str = Field("INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    log_format: Literal["text", "json"] = Field(
        "text",
        description="`text`, or `json`: an object a line, with time, level, logger, message, job, "
        "attempt, worker and device.",
    )

    @field_validator("home", mode="before")
    @classmethod
    def _local_home(cls, home: Any) -> Any:
        if "://" in str(home):
            raise ValueError(
                f"must be a folder of this machine: set {PREFIX}FILES_URL to the object store"
            )
        return home

    @field_validator("home")
    @classmethod
    def _resolve_home(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator("files_url")
    @classmethod
    def _some_bucket(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if url and not (scheme and separator and rest.strip("/")):
            raise ValueError("must be an address like s3://bucket/nightshelf")
        if "@" in rest:
            raise ValueError("must hold no password: credentials are those of the store's client")
        return url.rstrip("/")

    @field_validator("database_url", "broker_url", "flower_auth")
    @classmethod
    def _no_placeholder(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        logins = text.split(",")
        if f":{PLACEHOLDER}@" in text or any(one.endswith(f":{PLACEHOLDER}") for one in logins):
            raise ValueError(
                f"the password is still the placeholder `{PLACEHOLDER}`: choose one of your own"
            )
        return secret

    @field_validator("devices")
    @classmethod
    def _some_device(cls, devices: str) -> str:
        if not devices.replace(",", "").strip():
            raise ValueError("names no device: leave it out for `auto`")
        return devices

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @model_validator(mode="after")
    def _times_fit(self) -> Settings:
        if self.heartbeat_s * 2 > self.lease_s:
            raise ValueError(
                f"{PREFIX}HEARTBEAT_S ({self.heartbeat_s:g}) must be at most half of "
                f"{PREFIX}LEASE_S ({self.lease_s:g}), or one late renewal loses the job"
            )
        return self

    def located(self, address: str | PurePosixPath) -> str:
        """Where a person finds what is kept under an address: a path, or `s3://…`."""
        return f"{self.files_url or self.home}/{address}"

    @property
    def embedded_broker(self) -> bool:
        """Whether the broker is the server that `nightshelf up` starts."""
        return not self.broker_url.get_secret_value()

    @property
    def socket(self) -> Path:
        """The embedded broker's socket.

        Raises:
            UsageError: the path is too long for a unix socket.
        """
        path = self.home / "broker.sock"
        if (length := len(bytes(path))) > MAX_SOCKET_PATH_BYTES:
            raise UsageError(
                f"{PREFIX}HOME is too long: its socket's path has {length} bytes, and a unix "
                f"socket may have {MAX_SOCKET_PATH_BYTES}. Choose a shorter folder: {self.home}"
            )
        return path

    @property
    def database(self) -> str:
        """The database's address, password included: never to be printed."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.home / 'nightshelf.db'}"

    @property
    def broker(self) -> str:
        """The broker's address, password included: never to be printed."""
        return self.broker_url.get_secret_value() or f"redis+socket://{self.socket}"

    @property
    def root_paths(self) -> tuple[Path, ...]:
        """The folders that inputs must lie under, resolved."""
        return tuple(Path(root).expanduser().resolve() for root in self.roots.split(":") if root)


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        UsageError: a variable has a value that cannot be; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # A message about several variables names them itself.
        where = "".join(f"{PREFIX}{str(part).upper()}: " for part in first["loc"])
        raise UsageError(where + first["msg"].removeprefix("Value error, ")) from None
