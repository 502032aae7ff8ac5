"""Running one step of a check: what it raises becomes its verdict."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edge.compile.check.report import CheckStep, Finding, Status
from edge.compile.tensorrt.network import ParserError
from edge.runtime.errors import EdgeError, MissingDependencyError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

# What brings all that a check can use.
PREFLIGHT = (
    "run this in the environment of requirements/preflight.txt (make preflight); on a Jetson, in a venv made with "
    "--system-site-packages"
)


def run_step(name: str, work: Callable[[], CheckStep]) -> CheckStep:
    """A step's result, whatever happens in it.

    A missing package is no verdict on the model. Any other error of ours is one against it. What a compiler or a
    package raises beyond those counts as failed too, since a check that broke off has shown nothing in its favour.
    """
    try:
        return work().model_copy(update={"name": name})
    except MissingDependencyError as error:
        return CheckStep(name=name, status="not checked", detail=error.problem, remedy=error.remedy)
    except ParserError as error:
        findings = tuple(Finding(layer=p.layer, operator=p.operator, message=p.message) for p in error.problems)
        detail = f"{error.title} does not take the graph"
        return CheckStep(name=name, status="failed", detail=detail, remedy=error.remedy, findings=findings)
    except EdgeError as error:
        return CheckStep(name=name, status="failed", detail=error.problem, remedy=error.remedy)
    except Exception as error:
        logger.debug("the step '%s' broke off", name, exc_info=True)
        detail = f"the step itself broke off ({type(error).__name__}: {first_line(error)})"
        return CheckStep(name=name, status="failed", detail=detail, remedy="report it with what `edge --debug` logs")


def verdict(detail: str, findings: Iterable[Finding] = (), *, status: Status | None = None, **facts: Any) -> CheckStep:
    """A step's result: failed where there are findings, unless a status is given."""
    found = tuple(findings)
    return CheckStep(
        name="", status=status or ("failed" if found else "passed"), detail=detail, findings=found, facts=facts
    )


def skipped(detail: str) -> CheckStep:
    """A step that does not apply to this model or target, with the reason."""
    return CheckStep(name="", status="noted", detail=detail)


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as `1 layer` and `2 layers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
