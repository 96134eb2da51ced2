"""Many jobs: accepting them, queueing them, running them, telling what came of them."""
