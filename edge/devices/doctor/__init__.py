"""What this machine can do, and the command that adds what it lacks: one probe a topic, none of them slow."""
