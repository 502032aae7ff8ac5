"""What keeps other work of the machine from delaying a run: priorities, cores and locked memory, where permitted."""
