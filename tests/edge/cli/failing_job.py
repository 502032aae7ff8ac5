"""A job that ends as `test_processes.py` asks; run by torchrun: .../failing_job.py MANNER."""

from __future__ import annotations

import sys

import typer

from edge.cli.processes import across_processes
from edge.compress.parallel.collectives import gather_values
from edge.compress.parallel.ranks import current_ranks
from edge.runtime.errors import EdgeError, GateError


@across_processes
def job(manner: str) -> None:
    """Rank 1 fails while rank 0 waits for it, or all refuse alike."""
    rank = current_ranks().rank
    typer.echo(f"rank {rank} begins")
    if manner == "refused" and rank == 1:
        raise GateError("one layer is too slow", "prune it")
    if manner == "crashed" and rank == 1:
        raise TypeError("no such attribute")
    gather_values(rank)
    if manner == "alike":
        raise GateError("all lose too much", "train longer")


def main() -> None:
    try:
        job(manner=sys.argv[1])
    except EdgeError as error:
        typer.echo(f"edge: {error}", err=True)
        sys.exit(error.exit_code)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


if __name__ == "__main__":
    main()
