"""The demo: committed weights to a proven bundle to verdicts on synthetic signatures, and a report."""
