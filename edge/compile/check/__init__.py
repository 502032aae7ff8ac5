"""What is known of a model on a board before any board is asked: the steps of `edge check`."""
