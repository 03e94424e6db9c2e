"""One export from its plan to its published manifest.

Reads slices side by side, stages them with checkpoints, joins them to data files, publishes, finds earlier exports.
May know everything above it, from models to the manifest: nothing of Airflow.
"""
