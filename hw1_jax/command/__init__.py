"""Command: hw1, and run_all.sh behind it; one program over all experiments."""
