"""A trustworthy latency report of a bundle: cold start, stages, percentiles, memory, and the machine.

Nothing is imported here, so that a measuring process (`worker`) starts as cold as a device does.
"""
