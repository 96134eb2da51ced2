"""What an operator sets: settings, models and their prices, ports."""
