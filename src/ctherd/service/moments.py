"""Points in time as records and answers spell them."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the present second in RFC 3339, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
