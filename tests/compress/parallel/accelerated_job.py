"""Joins by Accelerate, then by us; run by `accelerate launch`, or by torchrun."""

from __future__ import annotations

import typer
from accelerate import PartialState

from edge.compress.parallel.collectives import gather_values
from edge.compress.parallel.ranks import joined_ranks


def main() -> None:
    state = PartialState(cpu=True)
    with joined_ranks() as ranks:
        found = gather_values([ranks.rank, ranks.world, state.process_index])
    if state.is_main_process:  # joined_ranks has left Accelerate's group alone
        typer.echo(f"{found} {state.num_processes}")
    state.wait_for_everyone()
    state.destroy_process_group()


if __name__ == "__main__":
    main()
