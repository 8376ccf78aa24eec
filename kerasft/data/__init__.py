"""From any file to checked rows: reading, splitting, auditing, batching."""
