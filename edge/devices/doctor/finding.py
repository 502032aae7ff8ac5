"""What a probe found out about one topic."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["ok", "limited", "missing"]


class Finding(BaseModel):
    """One topic.

    Attributes:
        topic: What `--need` takes.
        status: `limited` is there, but not whole; `found` says why.
        found: What is there, or why it is not.
        remedy: The command that adds it; None where there is nothing to add, or no command can.
        enables: What needs it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: str
    status: Status
    found: str
    remedy: str | None = None
    enables: str
