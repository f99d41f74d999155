"""Reads what gatewatch wrote with tools that know nothing of it: DuckDB and jsonschema.

analysts.py validate SCHEMA FILE...   every object of the files is as the schema says, and has no member that it does not name
analysts.py csv FOLDER PERIOD         the CSV tables of a report have the numbers and texts of its JSON
analysts.py tally FOLDER DOCUMENT     what the queries of a document give, as JSON: a list of rows a query
"""

import json
import pathlib
import re
import sys


def closed(schema):
    """The same schema, with objects that hold nothing but what is named."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict):
        schema.setdefault("additionalProperties", False)
    return schema


def texts(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return text.split("\n") if path.endswith(".jsonl") else [text]


def validate(schema, *files):
    import jsonschema

    with open(schema, encoding="utf-8") as file:
        schema = closed(json.load(file))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    count = 0
    for name in files:
        for text in texts(name):
            if not text.strip():
                continue
            count += 1
            error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(text)))
            if error is not None:
                sys.exit(f"{name}: {error.json_path}: {error.message[:400]}: docs/schema must tell of it")
    print(count)


def as_csv(text):
    """What a text is in CSV."""
    text = "".join(" " if ord(letter) < 32 or 127 <= ord(letter) < 160 else letter for letter in text)
    if text.lstrip().startswith(("=", "+", "-", "@")):
        text = "'" + text
    return text


def csv(folder, period):
    import duckdb

    folder = pathlib.Path(folder)
    report = json.loads((folder / f"report-{period}.json").read_text(encoding="utf-8"))
    tables = 0
    for path in sorted(folder.glob(f"report-{period}.*.csv")):
        name = path.name.split(".")[-2]
        read = f"read_csv('{path}', all_varchar = true, header = true, strict_mode = true)"
        columns = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM {read}").fetchall()]
        rows = [dict(zip(columns, row)) for row in duckdb.sql(f"SELECT * FROM {read}").fetchall()]
        expected = report.get(name)
        if name == "losses":
            expected = [{"counter": key, "count": value} for key, value in expected.items()]
        elif name == "trend":
            expected = (expected or {}).get("months", [])
        elif name == "by_site":
            expected = [
                {"site": part["site"], "table": table, **row}
                for part in expected
                for table in ("classes", "origins")
                for row in part[table]
            ]
        elif name == "rhythm":
            days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
            expected = [
                {"weekday": days[day], "hour": hour, "headline_attempts": count, "seconds_observed": seconds}
                for day, rows in enumerate(zip(expected["headline_attempts"], expected["seconds_observed"]))
                for hour, (count, seconds) in enumerate(zip(*rows))
            ] if expected else []
        elif name == "origins":
            bounds = lambda row: dict(zip(("share_low", "share_high"), row["interval"] or ()))
            expected = [{**row, **bounds(row)} for row in expected]
        elif name in ("totals", "units"):
            expected = None
        if expected is not None:
            if len(rows) != len(expected):
                sys.exit(f"{path}: {len(rows)} rows, the JSON has {len(expected)}")
            for row, truth in zip(rows, expected):
                for column in columns:
                    value, told = truth.get(column), row[column] or ""
                    if isinstance(value, str) and told != as_csv(value):
                        sys.exit(f"{path}: {column} is {told[:200]!r}, the JSON has {value[:200]!r}")
                    if isinstance(value, bool) and told != str(value).lower():
                        sys.exit(f"{path}: {column} is {told}, the JSON has {value}")
                    if value is None and told:
                        sys.exit(f"{path}: {column} is {told}, the JSON has nothing")
                    if isinstance(value, (int, float)) and not isinstance(value, bool) and float(told) != value:
                        sys.exit(f"{path}: {column} is {told}, the JSON has {value}")
        if name == "totals":
            told = {row["unit"]: row["count"] for row in rows}
            if int(told["attempts"]) != report["totals"]["attempts"]:
                sys.exit(f"{path}: {told}")
        if name == "units":
            told = sum(int(row["attempts"]) for row in rows if row["table"] == "total")
            if told != report["totals"]["attempts"]:
                sys.exit(f"{path}: the units sum to {told}")
        tables += 1
    print(tables)


def tally(folder, document):
    import os

    import duckdb

    os.chdir(folder)
    text = pathlib.Path(document).read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n(.*?)```", text, re.S)
    connection = duckdb.connect()
    results = []
    for statement in "\n".join(blocks).split(";\n"):
        if not statement.strip():
            continue
        if statement.lstrip().startswith("SELECT"):
            results.append([[str(value) for value in row] for row in connection.sql(statement).fetchall()])
        else:
            connection.execute(statement)
    for statement in (
        "SELECT site, sum(attempts) FROM rows WHERE kind = 'tally' GROUP BY site ORDER BY 2 DESC, 1",
        "SELECT as_org, sum(attempts) FROM rows WHERE kind = 'network' GROUP BY as_org ORDER BY 2 DESC, 1",
        "SELECT sum(attempts), count(*) FROM rows WHERE kind = 'header'",
        "SELECT label, sum(attempts) FROM rows WHERE kind = 'tally' GROUP BY label ORDER BY 2 DESC, 1",
        "SELECT dimension, key, sources FROM rows WHERE kind = 'sources' AND dimension = 'total' ORDER BY ALL",
        "SELECT count(*) FROM all_rows WHERE kind = 'header'",
    ):
        results.append(connection.sql(statement).fetchall())
    print(json.dumps(results))


if __name__ == "__main__":
    {"validate": validate, "csv": csv, "tally": tally}[sys.argv[1]](*sys.argv[2:])
