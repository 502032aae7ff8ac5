"""A bundle profiled as it runs: fed by a source at its pace, through the live runtime."""
