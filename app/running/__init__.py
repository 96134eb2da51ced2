"""What runs: programs that are started, and what a process opens."""
