"""What a run was: ages, stages, levels and streams, in constant memory."""
