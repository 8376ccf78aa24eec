"""`kerasft tasks`."""

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tasks(as_json):
    """List the tasks: name, columns, an example row."""
    from kerasft.tasks import TASKS

    for task in TASKS.values():
        columns = (*task.text_columns, task.label_column)
        if as_json:
            print(json.dumps({"name": task.name, "summary": task.summary, "columns": columns, "example": task.example}))
            continue
        print(f"{task.name}\n    {task.summary}\n    columns: {', '.join(columns)}")
        print(f"    example: {json.dumps(dict(task.example), ensure_ascii=False)}")
        if task.starter:
            print(f"    starter data: {task.starter}")
