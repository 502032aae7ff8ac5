"""Where samples come from: the simulator, recordings, files, devices."""
