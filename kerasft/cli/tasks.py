"""`kerasft tasks`."""

import json

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tasks(name, as_json):
    """List the tasks, or show all of one: columns, an example row, a request and its answer."""
    from kerasft.tasks import TASKS, find_task

    if name:
        _show(find_task(name), as_json)
        return
    for task in TASKS.values():
        if as_json:
            print(json.dumps(_brief(task), ensure_ascii=False))
            continue
        print(f"{task.name}\n    {task.summary}\n    columns: {', '.join(_columns(task))}")
        print(f"    example: {json.dumps(dict(task.example), ensure_ascii=False)}")
        if task.starter:
            print(f"    starter data: {task.starter}")
    if not as_json:
        print("\n`kerasft tasks NAME` shows a task's request and answer.")


def _columns(task) -> list[str]:
    optional = task.optional_columns
    return [f"{name} (optional)" if name in optional else name for name in task.columns]


def _brief(task) -> dict:
    return {
        "name": task.name,
        "summary": task.summary,
        "columns": list(task.columns),
        "optional_columns": list(task.optional_columns),
        "example": task.example,
    }


def _asked(task) -> dict:
    """The example as a request that has no answer yet."""
    from kerasft.data.prepare import read_for

    return {name: of[0] for name, of in task.writes.requests(read_for(task, [dict(task.example)]).rows).items()}


def _show(task, as_json: bool) -> None:
    example = task.asks.request if task.asks else _asked(task) if task.writes else task.example
    asked = {name: example[name] for name in task.inputs if name in example}
    contract = {
        **_brief(task),
        "starter_data": task.starter,
        "watched_figure": task.headline,
        "signatures": list(task.signatures),
        "request": {"signature_name": "serving_default", "instances": [asked]},
        "response": {"predictions": [dict(task.answer)]},
    }
    if as_json:
        print(json.dumps(contract, ensure_ascii=False))
        return
    print(f"{task.name}: {task.summary}\n")
    print(f"columns         {', '.join(_columns(task))}")
    print(f"example row     {json.dumps(dict(task.example), ensure_ascii=False)}")
    print(f"starter data    {task.starter or 'none'}")
    print(f"watched figure  {task.headline} of the held-out rows{', the smaller the better' if task.falls else ''}")
    if task.writes and task.writes.template:
        print(f"template        {json.dumps(task.writes.template, ensure_ascii=False)}")
    print(f"signatures      {', '.join(contract['signatures'])}")
    print(f"\nA request over REST, POST /v1/models/{task.name}:predict")
    print(json.dumps(contract["request"], ensure_ascii=False))
    print("\nAn answer (figures as an example)")
    print(json.dumps(contract["response"], ensure_ascii=False))
