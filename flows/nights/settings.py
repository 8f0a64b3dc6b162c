"""nightly.yaml, the settings of nights, as a frozen model."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.project import yaml_text

FILE = Path("nightly.yaml")
NO_PLACES = ("localtime", "Factory")  # of tzdata, which Prefect does not know
CRON_FIELDS = 5  # of six, one program takes the first for seconds, another the last
_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
CRON = re.compile(rf"([0-9\s*,/-]|\b({_NAMES})\b)+", re.IGNORECASE)
Frac = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """nightly.yaml is missing or wrong."""


def _cron(text: str) -> str:
    if len(text.split()) != CRON_FIELDS or not CRON.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a cron expression of five fields, of numbers, names and * , - / "
            "alone, which is all that Prefect knows; such as '0 2 * * *'"
        )
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is not a cron expression ({error}); such as '0 2 * * *'"
        ) from None
    return text


def _timezone(name: str) -> str:
    if name not in available_timezones() or name in NO_PLACES:
        raise ValueError(f"{name!r} is not a time zone; such as Europe/Berlin")
    return name


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Model):
    """When nights begin, and what day it is then."""

    cron: Annotated[str, AfterValidator(_cron)]
    timezone: Annotated[str, AfterValidator(_timezone)]


class DriftLimits(_Model):
    """Limits outside of which a night warns."""

    max_repeat_frac: Frac
    max_false_positive_frac: Frac
    max_forced_frac: Frac
    min_entropy_nats: Annotated[float, Field(ge=0)]
    used_tokens_ratio: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]

    @model_validator(mode="after")
    def _ratio_is_a_range(self) -> Self:
        low, high = self.used_tokens_ratio
        if low > high:
            raise ValueError(
                f"used_tokens_ratio: the lower limit {low} is above the upper one {high}"
            )
        return self


class Settings(_Model):
    """All of nightly.yaml; the comments there say what each is for."""

    recipe: str
    judge: str
    remote: str | None
    schedule: Schedule
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    deadline_seconds: Seconds | None
    max_regression: Frac
    min_gain: float
    drift: DriftLimits
    signing_key: Path | None


def load() -> Settings:
    """The settings of this checkout.

    Raises:
        SettingsError: the file is missing, not YAML, or has a wrong value.
    """
    try:
        content = yaml_text.load(FILE.read_text(encoding="utf-8"))
        return Settings.model_validate(content)
    except FileNotFoundError:
        raise SettingsError(f"{FILE} is missing; run from the repository's root") from None
    except yaml_text.NotYaml as error:
        raise SettingsError(f"{FILE}: {error}; mend it") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        count = error.error_count()
        raise SettingsError(
            f"{FILE}: {count} wrong value(s), first {where}: {what}; mend it"
        ) from None
