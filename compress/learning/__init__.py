"""What the training loop is made of: its config, batches, optimizer, schedule, device, state on disk, and scores."""
