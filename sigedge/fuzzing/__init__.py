"""Fuzzing what a device reads from strangers: images, bundles and template stores; see docs/soundness.md."""
