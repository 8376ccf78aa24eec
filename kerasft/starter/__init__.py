"""Original example data, one file a task: `kerasft fit` trains on it when no `--data` is given."""
