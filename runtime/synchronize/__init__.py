"""Parts of synchronization: the core's policies, its messages, windows of sound, sets of samples."""
