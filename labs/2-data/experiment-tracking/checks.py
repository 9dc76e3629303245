"""Checks, hints and wrong answers of experiment-tracking."""

import pandas as pd
from google.cloud.aiplatform_v1.types import Artifact, Event, LineageSubgraph
from labkit.lesson import Exercise, Incorrect


class RepeatRun(Exercise):
    name = "repeat_run"
    hints = [
        "Which arguments does train take, and which column of the row has each of them?",
        "The table stores every number as a floating-point one. Which settings and seeds must be whole numbers?",
        "load() wants the hash that this run has logged, not that of the newest export.",
    ]
    wrong = {
        "the score from the row": 'def repeat(row):\n    return row["metric.r2"]',
        "the newest export": (
            "def repeat(row):\n"
            '    settings = {"max_depth": int(row["param.max_depth"]), "max_features": row["param.max_features"],\n'
            '                "min_samples_leaf": int(row["param.min_samples_leaf"])}\n'
            '    seeds = int(row["param.seed"]), int(row["param.split_seed"])\n'
            "    return train(load(exports[days[-1]][0]), settings, *seeds)[1]"
        ),
        "numbers as they come from the table": (
            "def repeat(row):\n"
            '    names = ["max_depth", "min_samples_leaf", "max_features"]\n'
            '    settings = {name: row[f"param.{name}"] for name in names}\n'
            '    table = load(row["param.data_sha256"])\n'
            '    return train(table, settings, row["param.seed"], row["param.split_seed"])[1]'
        ),
        "the seeds swapped": (
            "def repeat(row):\n"
            '    settings = {"max_depth": int(row["param.max_depth"]), "max_features": row["param.max_features"],\n'
            '                "min_samples_leaf": int(row["param.min_samples_leaf"])}\n'
            '    seeds = int(row["param.split_seed"]), int(row["param.seed"])\n'
            '    return train(load(row["param.data_sha256"]), settings, *seeds)[1]'
        ),
        "a split of one's own": (
            "def repeat(row):\n"
            '    settings = {"max_depth": int(row["param.max_depth"]), "max_features": row["param.max_features"],\n'
            '                "min_samples_leaf": int(row["param.min_samples_leaf"])}\n'
            '    return train(load(row["param.data_sha256"]), settings, int(row["param.seed"]), 42)[1]'
        ),
        "the model instead of its score": (
            "def repeat(row):\n"
            '    settings = {"max_depth": int(row["param.max_depth"]), "max_features": row["param.max_features"],\n'
            '                "min_samples_leaf": int(row["param.min_samples_leaf"])}\n'
            '    seeds = int(row["param.seed"]), int(row["param.split_seed"])\n'
            '    return train(load(row["param.data_sha256"]), settings, *seeds)'
        ),
    }

    def check(self, repeat, train, load, hashes):
        if not callable(repeat):
            raise Incorrect(f"repeat is a function of one row, got {type(repeat).__name__}.")
        for sha256, seed, split_seed, depth in ((hashes[0], 11, 12, 5), (hashes[1], 13, 14, 7)):
            settings = {"max_depth": depth, "min_samples_leaf": 3, "max_features": 0.6}
            right = train(load(sha256), settings, seed, split_seed)[1]
            values = settings | {"seed": seed, "split_seed": split_seed, "data_sha256": sha256}
            row = {f"param.{name}": float(v) if isinstance(v, int) else v for name, v in values.items()}
            # Not the score of this run: whoever hands it back has repeated nothing.
            row["metric.r2"] = right + 0.5
            self.judge(self.score(repeat, row), right, row, train, load, hashes)

    def score(self, repeat, row):
        try:
            return float(repeat(row))
        except Exception as error:
            raise Incorrect(
                f"repeat(row) ends with {type(error).__name__}: {str(error)[:200]}. It returns one number, and the "
                "table stores all numbers as floating-point ones: what counts something must become int again."
            ) from None

    def judge(self, score, right, row, train, load, hashes):
        if abs(score - right) <= 1e-9:
            return
        if abs(score - row["metric.r2"]) <= 1e-9:
            raise Incorrect("That is the logged score, read from the row: nothing was trained, so nothing is shown.")
        settings = {"max_depth": int(row["param.max_depth"]), "min_samples_leaf": 3, "max_features": 0.6}
        seeds = int(row["param.seed"]), int(row["param.split_seed"])
        if abs(score - train(load(hashes[-1]), settings, *seeds)[1]) <= 1e-9:
            raise Incorrect("The newest export was read: this run has logged the hash of an older one.")
        raise Incorrect(
            f"R² {score:.6f} instead of {right:.6f}: something that this run has drawn or read was not taken from its "
            "row. One input that differs is enough for another score."
        )


class BestCheckpoint(Exercise):
    name = "best_checkpoint"
    hints = [
        "Which steps have a checkpoint at all? Keep those rows of curves first.",
        "Among these rows, where is r2 the highest? idxmax gives the label of a row.",
    ]
    wrong = {
        "the best last value": (
            'ends = curves[curves["step"] == EPOCHS]\n'
            'run_to_deploy, step_to_deploy = ends.loc[ends["r2"].idxmax(), "run"], EPOCHS'
        ),
        "an epoch that was not kept": (
            'among = curves[curves["step"] % KEPT != 0]\n'
            'run_to_deploy, step_to_deploy = among.loc[among["r2"].idxmax(), ["run", "step"]]'
        ),
        "the run that is best on average": (
            'kept = curves[(curves["step"] % KEPT == 0) & (curves["run"] == "slow")]\n'
            'run_to_deploy, step_to_deploy = "slow", int(kept["step"].median() // KEPT * KEPT)'
        ),
        "the right run, its last epoch": 'run_to_deploy, step_to_deploy = "fast", EPOCHS',
        "a run that does not exist": 'run_to_deploy, step_to_deploy = "network", 4',
    }

    def check(self, run, step, curves, every):
        kept = curves[curves["step"] % every == 0].set_index(["run", "step"])["r2"]
        if run not in set(curves["run"]):
            raise Incorrect(f"run_to_deploy is one of {', '.join(sorted(set(curves['run'])))}, got {run!r}.")
        if (run, step) not in kept.index:
            raise Incorrect(
                f"There is no checkpoint of the run {run} at epoch {step}: they exist every {every} epochs."
            )
        best = kept.idxmax()
        if (run, step) == best:
            return
        if step == kept.index.get_level_values("step").max():
            raise Incorrect(
                f"The last epoch of {run} has R² {kept[run, step]:.3f}; a checkpoint before it has {kept[best]:.3f}. "
                "The last value says how far training went, not how good the model once was."
            )
        raise Incorrect(f"R² {kept[run, step]:.3f} at this checkpoint; another one that was kept has {kept[best]:.3f}.")


class Touched(Exercise):
    name = "touched"
    hints = [
        "From the data: which executions have it as INPUT? From those: which artifacts are their OUTPUT?",
        "A blend is made from models. Go on from what you have found until nothing new comes.",
        "An artifact that a reached execution has READ is beside the data, not downstream of it.",
    ]
    wrong = {
        "every model in the graph": (
            "def touched(graph, start):\n"
            '    return {item.name for item in graph.artifacts if item.schema_title == "system.Model"}'
        ),
        "one step only": (
            "def touched(graph, start):\n"
            "    readers = {e.execution for e in graph.events if e.artifact == start and e.type_ == Event.Type.INPUT}\n"
            "    return {e.artifact for e in graph.events if e.execution in readers and e.type_ == Event.Type.OUTPUT}"
        ),
        "without the direction": (
            "def touched(graph, start):\n"
            "    reached = {start}\n"
            "    for _ in range(10):\n"
            "        near = {e.execution for e in graph.events if e.artifact in reached}\n"
            "        reached |= {e.artifact for e in graph.events if e.execution in near}\n"
            '    return {a.name for a in graph.artifacts if a.name in reached and a.schema_title == "system.Model"}'
        ),
        "against the direction": (
            "def touched(graph, start):\n"
            "    output = Event.Type.OUTPUT\n"
            "    writers = {e.execution for e in graph.events if e.artifact == start and e.type_ == output}\n"
            "    return {e.artifact for e in graph.events if e.execution in writers and e.type_ != output}"
        ),
        "reports too": (
            "def touched(graph, start):\n"
            "    reached, read, written = {start}, Event.Type.INPUT, Event.Type.OUTPUT\n"
            "    for _ in range(10):\n"
            "        near = {e.execution for e in graph.events if e.artifact in reached and e.type_ == read}\n"
            "        reached |= {e.artifact for e in graph.events if e.execution in near and e.type_ == written}\n"
            "    return reached - {start}"
        ),
    }

    def check(self, touched):
        if not callable(touched):
            raise Incorrect(f"touched is a function of a graph and a name, got {type(touched).__name__}.")
        graph = example_graph()
        try:
            found = set(touched(graph, "bad"))
        except Exception as error:
            raise Incorrect(f"touched(graph, start) ends with {type(error).__name__}: {str(error)[:200]}.") from None
        right = {"model-1", "blend", "blend-of-blends"}
        missing, extra = sorted(right - found), sorted(found - right)
        if "report" in extra or "cleaned" in extra or "bad" in extra:
            raise Incorrect(f"{', '.join(extra)}: only models are asked for, by their schema_title.")
        if extra:
            raise Incorrect(
                f"{', '.join(extra)} never saw the data: an execution that reads two artifacts puts them side by side, "
                "it does not make one from the other. Follow INPUT into an execution and OUTPUT out of it, never back."
            )
        if missing:
            raise Incorrect(f"{', '.join(missing)} was made from the data too, through other artifacts: go on there.")
        if set(touched(graph, "good")) != {"model-2", "blend", "blend-of-blends"}:
            raise Incorrect("It is right for one data set and wrong for another one of the same graph.")


def example_graph():
    """bad -> cleaned -> model-1; good -> model-2; both models -> blend -> blend-of-blends; all -> report."""
    steps = {
        "clean": (["bad"], ["cleaned"]),
        "train-1": (["cleaned"], ["model-1"]),
        "train-2": (["good"], ["model-2"]),
        "train-3": (["other"], ["model-3"]),
        "mix": (["model-1", "model-2"], ["blend"]),
        "mix-again": (["blend", "model-3"], ["blend-of-blends"]),
        "evaluate": (["model-1", "model-2", "model-3", "blend", "blend-of-blends"], ["report"]),
    }
    names = pd.unique(pd.Series([name for ends in steps.values() for side in ends for name in side]))
    events = [
        Event(artifact=name, execution=step, type_=kind)
        for step, ends in steps.items()
        for kind, side in zip((Event.Type.INPUT, Event.Type.OUTPUT), ends, strict=True)
        for name in side
    ]
    artifacts = [Artifact(name=str(name), schema_title=schema_of(name)) for name in names]
    return LineageSubgraph(artifacts=artifacts, events=events)


def schema_of(name):
    if name == "report":
        return "system.Metrics"
    return "system.Model" if name.startswith(("model", "blend")) else "system.Dataset"
