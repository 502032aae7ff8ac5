"""In what state a machine was measured: power mode, clocks, temperatures, throttling, rails, cores; read, never set."""
