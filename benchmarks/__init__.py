"""What is measured against peers, one command each; `python -m benchmarks` runs them all."""
