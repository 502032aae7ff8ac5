"""Faults on purpose: any source can be broken in thirteen ways, the same way every time."""

from edge.runtime.faults.base import Fault
from edge.runtime.faults.grammar import parse_fault
from edge.runtime.faults.source import FaultySource

__all__ = ["Fault", "FaultySource", "parse_fault"]
