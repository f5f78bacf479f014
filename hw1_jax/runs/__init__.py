"""Runs: from a command line to a finished run folder, and back."""
