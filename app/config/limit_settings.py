"""The settings of limits: one for each and one for each ceiling, made of what `graphs.spending.limits` declares."""

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model
from pydantic_settings import BaseSettings

from graphs.spending.limits import LIMITS, Limit, Limits, OnLimit


def _declared() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, limit in LIMITS.items():
        field = Limits.model_fields[name]
        made[limit.setting] = _setting(limit, field.default, field.description)
        if limit.ceiling:
            most = "Its maximum for one job."
            made[limit.ceiling_setting] = _setting(limit, limit.ceiling, most)
    return made


def _setting(limit: Limit, default: int, description: str | None) -> Any:
    """A type and a field, for `create_model`."""
    value, least, most = map(limit.in_unit, (default, limit.least, limit.most))
    return type(value), Field(value, ge=least, le=most, description=description)


if TYPE_CHECKING:  # these are read as `limits` and `ceiling`
    _Declared = BaseSettings
else:
    _Declared = create_model("_Declared", __base__=BaseSettings, **_declared())


class LimitSettings(_Declared):
    """The limits part of `Settings`."""

    on_limit: OnLimit = Field(
        Limits().on_limit, description="At a limit: escalate (ask a human), finish_partial or fail."
    )

    @property
    def limits(self) -> Limits:
        """The limits of a job without its own."""
        values = {name: limit.from_unit(getattr(self, limit.setting)) for name, limit in LIMITS.items()}
        return Limits(**values, on_limit=self.on_limit)

    @property
    def ceiling(self) -> Limits:
        """The maximum that requests and humans can raise limits to."""
        raised = {name: limit for name, limit in LIMITS.items() if limit.ceiling}
        most = {name: limit.from_unit(getattr(self, limit.ceiling_setting)) for name, limit in raised.items()}
        return self.limits.model_copy(update=most)
