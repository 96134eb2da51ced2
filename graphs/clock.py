"""The default clock, and the end of a day."""

from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def end_of_day(now: datetime) -> datetime:
    """When this UTC day ends."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
