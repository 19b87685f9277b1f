"""What a GPU does with this project, in minutes: ``python -m tests.benchmarks.gpu OUT``."""
