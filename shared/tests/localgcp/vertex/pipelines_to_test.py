"""Components and pipelines for test_pipelines; every component writes what it does to a file in the bucket.

No `from __future__ import annotations` here: KFP reads the annotations of a component as they are.
"""

from typing import NamedTuple

from kfp import dsl

HERE = {"base_image": "python:3.11", "install_kfp_package": False}


@dsl.component(**HERE)
def note(what: str, trace: str) -> str:
    with open(trace, "a") as file:
        file.write(what + "\n")
    return what


@dsl.component(**HERE)
def measure(rmse: float, trace: str) -> NamedTuple("Measured", [("rmse", float), ("name", str), ("sizes", list)]):
    from collections import namedtuple

    with open(trace, "a") as file:
        file.write("measure\n")
    return namedtuple("Measured", ["rmse", "name", "sizes"])(rmse, "it's && !good", [1, 2])


@dsl.component(**HERE)
def pair(first: int, second: str, trace: str) -> str:
    with open(trace, "a") as file:
        file.write(f"pair {first} {second}\n")
    return f"{first}-{second}"


@dsl.component(**HERE)
def join(parts: list) -> str:
    return "+".join(map(str, parts))


@dsl.component(**HERE)
def fail(trace: str, attempts_until_success: int = 99):
    import os

    with open(trace, "a") as file:
        file.write("fail\n")
    with open(trace) as file:
        tries = file.read().count("fail\n")
    if tries < attempts_until_success:
        raise RuntimeError(f"planted, attempt {tries} in {os.path.basename(trace)}")


@dsl.component(**HERE)
def report(status: dsl.PipelineTaskFinalStatus, trace: str):
    with open(trace, "a") as file:
        job = status.pipeline_job_resource_name
        file.write(f"report {status.state} {job} {status.error_code} {status.error_message}\n")


@dsl.component(**HERE)
def write(rows: int, trace: str, data: dsl.Output[dsl.Dataset]):
    with open(trace, "a") as file:
        file.write(f"write {rows} {data.uri}\n")
    with open(data.path, "w") as file:
        file.write("row\n" * rows)
    data.metadata["rows"] = rows


@dsl.component(**HERE)
def train(data: dsl.Input[dsl.Dataset], trace: str, model: dsl.Output[dsl.Model], metrics: dsl.Output[dsl.Metrics]):
    with open(data.path) as file:
        rows = file.read().count("row")
    with open(trace, "a") as file:
        file.write(f"train {rows}\n")
    with open(model.path, "w") as file:
        file.write(f"model of {rows}")
    model.metadata["framework"] = "none"
    metrics.log_metric("rows", rows)


@dsl.component(**HERE)
def wait(seconds: float, trace: str):
    import os
    import time

    with open(trace, "a") as file:
        file.write(f"{os.getpid()} {time.time()}\n")
    time.sleep(seconds)
    with open(trace, "a") as file:
        file.write(f"done {time.time()}\n")


@dsl.container_component
def shell(word: str, made: dsl.Output[dsl.Artifact], length: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["sh", "-c", 'printf %s "$0" > "$1"; mkdir -p "$(dirname "$2")"; printf %s "${#0}" > "$2"'],
        args=[word, made.path, length],
    )


@dsl.pipeline(name="branches")
def branches(rmse: float, trace: str) -> str:
    measured = measure(rmse=rmse, trace=trace)
    with dsl.If(measured.outputs["rmse"] < 1.0):
        good = note(what="deploy", trace=trace)
    with dsl.Elif(measured.outputs["rmse"] < 2.0):
        fair = note(what="ask", trace=trace)
    with dsl.Else():
        bad = note(what="reject", trace=trace)
    return dsl.OneOf(good.output, fair.output, bad.output)


@dsl.pipeline(name="loops")
def loops(trace: str) -> str:
    measured = measure(rmse=1.0, trace=trace)
    word = note(what="word", trace=trace)
    with dsl.ParallelFor([1, 2]) as number:
        static = pair(first=number, second=word.output, trace=trace)
    with dsl.ParallelFor(measured.outputs["sizes"]) as number:
        pair(first=number, second="named", trace=trace)
    with dsl.ParallelFor([{"a": "one field", "b": "another"}]) as item:
        note(what=item.a, trace=trace)
        note(what=item.b, trace=trace)
    with dsl.ParallelFor(["x", "y"]) as outer, dsl.ParallelFor([8, 9]) as inside:
        pair(first=inside, second=outer, trace=trace)
    with dsl.If(measured.outputs["name"] != "good && !it"):
        note(what="text", trace=trace)
    return join(parts=dsl.Collected(static.output)).output


@dsl.pipeline(name="no-items")
def no_items(items: list, trace: str) -> str:
    with dsl.ParallelFor(items) as number:
        one = pair(first=number, second="never", trace=trace)
    return join(parts=dsl.Collected(one.output)).output


@dsl.pipeline(name="failing")
def failing(trace: str):
    finish = report(trace=trace)
    with dsl.ExitHandler(finish):
        broken = fail(trace=trace)
        note(what="after", trace=trace).after(broken)
        note(what="beside", trace=trace)


@dsl.pipeline(name="in-order")
def in_order(trace: str):
    broken = fail(trace=trace)
    tolerant = note(what="tolerant", trace=trace).after(broken)
    tolerant.ignore_upstream_failure()
    for number in range(4):
        note(what=f"beside {number}", trace=trace)


@dsl.pipeline(name="unreadable")
def unreadable(trace: str):
    finish = report(trace=trace)
    with dsl.ExitHandler(finish):
        word = note(what="word", trace=trace)
        with dsl.If(word.output == "it's"):
            note(what="never", trace=trace)


@dsl.pipeline(name="flaky")
def flaky(good_at: int, trace: str):
    fail(trace=trace, attempts_until_success=good_at).set_retry(num_retries=2, backoff_duration="0s")


@dsl.pipeline(name="training")
def training(rows: int, trace: str, good: bool = True):
    written = write(rows=rows, trace=trace)
    trained = train(data=written.outputs["data"], trace=trace)
    with dsl.If(good == True):  # noqa: E712
        train(data=written.outputs["data"], trace=trace).after(trained)


@dsl.pipeline(name="imported")
def imported(uri: str, trace: str):
    data = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"origin": "elsewhere"})
    train(data=data.output, trace=trace)


@dsl.pipeline(name="slow")
def slow(seconds: float, trace: str):
    first = wait(seconds=seconds, trace=trace)
    note(what="after", trace=trace).after(first)


@dsl.pipeline(name="inner")
def inner(word: str, trace: str) -> str:
    said = note(what=word, trace=trace)
    return note(what=f"{said.output}!", trace=trace).output


@dsl.pipeline(name="nested")
def nested(trace: str) -> str:
    one = inner(word="one", trace=trace)
    two = inner(word=one.output, trace=trace)
    return two.output


@dsl.pipeline(name="containers")
def containers(word: str, trace: str):
    made = shell(word=word)
    pair(first=made.outputs["length"], second=f"{word} in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}", trace=trace)


@dsl.component(**HERE)
def register(uri: str) -> str:
    from google.cloud import aiplatform

    aiplatform.init()
    artifact = aiplatform.Artifact.create(schema_title="system.Model", uri=uri, display_name="from inside")
    return artifact.resource_name


@dsl.pipeline(name="with-sdk")
def with_sdk(trace: str) -> str:
    return register(uri=trace).output


@dsl.pipeline(name="either")
def either(big: bool, trace: str):
    with dsl.If(big == True):  # noqa: E712
        many = write(rows=90, trace=trace)
    with dsl.Else():
        few = write(rows=3, trace=trace)
    train(data=dsl.OneOf(many.outputs["data"], few.outputs["data"]), trace=trace)


@dsl.pipeline(name="with-input")
def with_input(data: dsl.Input[dsl.Dataset], trace: str):
    train(data=data, trace=trace)


@dsl.pipeline(name="numbers")
def numbers(items: list, trace: str) -> str:
    return join(parts=items).output
