"""Checks, hints and wrong answers of kfp-pipeline-components."""

import re
import time

from google.cloud import storage
from google.protobuf import json_format
from kfp import dsl
from labkit.lesson import Exercise, Incorrect


class Sealed(storage.Blob):
    """An object whose content cannot be read."""

    def _refuse(self, *_, **__):
        raise Incorrect("version_of reads the content: of 400 GB that takes longer than the pipeline.")

    download_as_bytes = download_as_text = download_as_string = download_to_file = download_to_filename = open = _refuse


class VersionOf(Exercise):
    name = "version_of"
    hints = [
        "Look through the properties of google.cloud.storage.Blob for what is computed from the bytes alone.",
        "A Blob object knows nothing of the object in the bucket until it is asked: blob.reload().",
        "There are two checksums: crc32c and md5_hash. Each is a short text.",
    ]
    wrong = {
        "the place": "def version_of(blob):\n    return blob.name",
        "the size": "def version_of(blob):\n    blob.reload()\n    return str(blob.size)",
        "the generation": "def version_of(blob):\n    blob.reload()\n    return str(blob.generation)",
        "the time": "def version_of(blob):\n    blob.reload()\n    return blob.updated.isoformat()",
        "the etag": "def version_of(blob):\n    blob.reload()\n    return blob.etag",
        "no reload": "def version_of(blob):\n    return blob.md5_hash",
        "reads it": """
def version_of(blob):
    return hashlib.sha256(blob.download_as_bytes()).hexdigest()
""",
        "Python's hash of the object": "def version_of(blob):\n    blob.reload()\n    return str(hash(blob))",
    }

    def check(self, version_of, bucket, prefix):
        if not callable(version_of):
            raise Incorrect(f"version_of is a function, got {type(version_of).__name__}.")
        first = self.write(version_of, bucket, f"{prefix}/one", "order,minutes\n1,20\n")
        time.sleep(0.01)
        if self.write(version_of, bucket, f"{prefix}/one", "order,minutes\n1,20\n") != first:
            raise Incorrect(
                "The same bytes were written again and have another version: after each export the whole pipeline "
                "runs, though nothing has changed. Name, generation, etag and times belong to the writing."
            )
        if self.write(version_of, bucket, f"{prefix}/one", "order,minutes\n1,29\n") == first:
            raise Incorrect(
                "Other bytes of the same length were written over the object, and the version is the old one: the "
                "model stays stale. Take what is made from the bytes."
            )
        if self.write(version_of, bucket, f"{prefix}/two", "order,minutes\n1,20\n") != first:
            raise Incorrect("The same bytes at another place have another version: the name is not the content.")

    def write(self, version_of, bucket, name, text):
        bucket.blob(name).upload_from_string(text)
        try:
            found = version_of(Sealed(name, bucket))  # it knows the name and nothing of the object yet
        except Incorrect:
            raise
        except Exception as error:
            raise Incorrect(f"version_of raises {type(error).__name__}: {error}.") from None
        if not isinstance(found, str) or not found:
            raise Incorrect(
                f"version_of gave {found!r}; it must be a text. The properties of a Blob are None until it is reloaded."
            )
        return found


class Gated(Exercise):
    name = "gated"
    hints = [
        "Python's `if` and `and` decide while you compile, before there is any number. What decides at run time?",
        "KFP's conditions compare two values. Two conditions together: one dsl.If inside the other.",
        "Each dsl.If needs its dsl.Else: whoever fails one of the two must be rejected, once.",
    ]
    wrong = {
        "Python's if": """
def gated(error: float, worst: float, served: str, run: str):
    if error <= 4.0 and worst <= 6.0:
        publish_note(served=served, run=run)
    else:
        reject(error=error, served=served, run=run)
""",
        "an and between conditions": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error <= 4.0 and worst <= 6.0):
        publish_note(served=served, run=run)
    with dsl.Else():
        reject(error=error, served=served, run=run)
""",
        "an & between conditions": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If((error <= 4.0) & (worst <= 6.0)):
        publish_note(served=served, run=run)
    with dsl.Else():
        reject(error=error, served=served, run=run)
""",
        "the second Else forgotten": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error <= 4.0):
        with dsl.If(worst <= 6.0):
            publish_note(served=served, run=run)
    with dsl.Else():
        reject(error=error, served=served, run=run)
""",
        "two gates side by side": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error <= 4.0):
        publish_note(served=served, run=run)
    with dsl.If(worst > 6.0):
        reject(error=error, served=served, run=run)
""",
        "rejected twice": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error <= 4.0):
        with dsl.If(worst <= 6.0):
            publish_note(served=served, run=run)
    with dsl.If(error > 4.0):
        reject(error=error, served=served, run=run)
    with dsl.If(worst > 6.0):
        reject(error=error, served=served, run=run)
""",
        "smaller instead of at most": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error < 4.0):
        with dsl.If(worst < 6.0):
            publish_note(served=served, run=run)
        with dsl.Else():
            reject(error=error, served=served, run=run)
    with dsl.Else():
        reject(error=error, served=served, run=run)
""",
        "the other number in the note": """
def gated(error: float, worst: float, served: str, run: str):
    with dsl.If(error <= 4.0):
        with dsl.If(worst <= 6.0):
            publish_note(served=served, run=run)
        with dsl.Else():
            reject(error=worst, served=served, run=run)
    with dsl.Else():
        reject(error=error, served=served, run=run)
""",
    }
    # error, worst, what runs
    cases = (
        (3.0, 5.0, "publish_note"),
        (4.0, 6.0, "publish_note"),
        (5.0, 5.0, "reject"),
        (3.0, 7.0, "reject"),
        (5.0, 7.0, "reject"),
        (4.5, 6.5, "reject"),
    )

    def check(self, gated):
        spec = self.compiled(gated)
        for error, worst, right in self.cases:
            ran = list(tasks_that_run(spec, spec["root"], {"error": error, "worst": worst}))
            names = [name for name, _ in ran]
            case = f"With error={error} and worst={worst}"
            if not names:
                raise Incorrect(f"{case} nothing runs: neither published nor rejected, and nobody is told.")
            if len(names) > 1:
                raise Incorrect(f"{case} {' and '.join(sorted(names))} run; it has to be one, once.")
            if names != [right]:
                raise Incorrect(
                    f"{case} {names[0]} runs instead of {right}. A comparison in a pipeline function is no bool: "
                    "Python's `if` and `and` take it for true while compiling. The limits themselves are good."
                )
            self.check_inputs(case, *ran[0])

    def compiled(self, gated):
        if not callable(gated):
            raise Incorrect(f"gated is a function, got {type(gated).__name__}.")
        try:
            pipeline = gated if hasattr(gated, "pipeline_spec") else dsl.pipeline(name="gated")(gated)
        except Exception as error:
            raise Incorrect(f"KFP cannot compile it: {type(error).__name__}: {str(error)[:200]}") from None
        spec = json_format.MessageToDict(pipeline.pipeline_spec)
        found = set(spec["root"].get("inputDefinitions", {}).get("parameters", {}))
        if found != {"error", "worst", "served", "run"}:
            raise Incorrect(f"The pipeline's parameters are error, worst, served and run; it has {sorted(found)}.")
        return spec

    def check_inputs(self, case, name, inputs):
        wanted = {"served": "served", "run": "run"} | ({"error": "error"} if name == "reject" else {})
        for given, source in wanted.items():
            if inputs.get(given) != source:
                raise Incorrect(f"{case} {name} gets {inputs.get(given)} as {given}; it needs the parameter {source}.")


def tasks_that_run(spec, component, values):
    """Pairs of a component's name and its inputs, {input: the pipeline's parameter}, for given values."""
    for task in component["dag"]["tasks"].values():
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not holds(condition, values):
            continue
        inner = spec["components"][task["componentRef"]["name"]]
        if "dag" in inner:
            yield from tasks_that_run(spec, inner, values)
        else:
            given = task.get("inputs", {}).get("parameters", {})
            inputs = {name: plain(one.get("componentInputParameter", "a constant")) for name, one in given.items()}
            function = spec["deploymentSpec"]["executors"][inner["executorLabel"]]["container"]["args"][-1]
            yield function, inputs


def plain(name):
    return name.removeprefix("pipelinechannel--")


def holds(condition, values):
    text = re.sub(r"inputs\.parameter_values\['([^']+)'\]", lambda found: str(values[plain(found[1])]), condition)
    text = re.sub(r"!(?!=)", " not ", text).replace("&&", " and ").replace("||", " or ")
    try:
        return bool(
            eval(text.strip(), {"__builtins__": {}}, {"true": True, "false": False, "int": int, "float": float})
        )
    except Exception:
        raise Incorrect(f"The condition {condition} compares something else than the two numbers.") from None


class NeverCached(Exercise):
    name = "never_cached"
    hints = [
        "For each task: somebody has deleted everything outside of the run. Is 'the same as last time' still enough?",
        "There are two reasons: the task changes something outside, or it reads what is not among its inputs.",
        "A task that reads only its inputs and writes only its outputs is safe. Two of the five are like that.",
    ]
    wrong = {
        "only what sends and deploys": 'never_cached = {"deploy", "alert"}',
        "what is expensive": 'never_cached = {"deploy", "score"}',
        "all": 'never_cached = {"tokenize", "deploy", "latest", "score", "alert"}',
        "the safe ones": 'never_cached = {"tokenize", "score"}',
        "score as well": 'never_cached = {"deploy", "latest", "alert", "score"}',
        "a text": 'never_cached = "deploy"',
    }
    right = frozenset({"deploy", "latest", "alert"})
    why = {
        "deploy": "A deployment from the cache deploys nothing: after a roll-back by hand the endpoint stays as it is.",
        "alert": "A message from the cache is not sent.",
        "latest": "It has no input, so its key never changes: it names the partition of its first run for ever.",
        "tokenize": "It reads an artifact and writes one: the same input has the same tokens, and the cache is right.",
        "score": "It depends on two artifacts and nothing else: the cache is right, and saves its time.",
    }

    def check(self, never_cached):
        if isinstance(never_cached, str) or not hasattr(never_cached, "__iter__"):
            raise Incorrect(f"never_cached is a set of names, got {never_cached!r}.")
        found = set(never_cached)
        unknown = found - set(self.why)
        if unknown:
            raise Incorrect(f"There is no task {sorted(unknown)[0]!r}: the names are {', '.join(self.why)}.")
        for name in sorted(found ^ self.right):
            side = "is missing" if name in self.right else "can be cached"
            raise Incorrect(f"{name} {side}. {self.why[name]}")
