"""What this library claims of itself, measured."""
