"""Reads from a run's journal whether the exercises behave: solutions pass, wrong answers are refused."""

from __future__ import annotations

from labkit.catalog.collection import find_lab
from labkit.lesson.exercise import CORRECT, INCORRECT, NOT_ATTEMPTED, read_exercises
from labkit.runner.runs import Result


def worked_faults(result: Result) -> list[str]:
    """What is wrong with the exercises in a run of the worked lab; with its wrong answers, where they were tried."""
    exercises = read_exercises(find_lab(result.run.slug).folder / "checks.py")
    checked = {e["exercise"]: e for e in result.events if e["event"] == "check"}
    faults = []
    for name, exercise in exercises.items():
        if name not in checked:
            faults.append(f"{name}: never checked")
        elif checked[name]["outcome"] != CORRECT:
            faults.append(f"{name}: the solution is {checked[name]['outcome']}: {checked[name]['message']}")
        audits = {e["label"]: e for e in result.events if e["event"] == "audit" and e["exercise"] == name}
        for label in exercise.wrong if result.run.audit else ():
            if label not in audits:
                faults.append(f"{name}: the wrong answer {label!r} was never tried")
            elif audits[label]["outcome"] != INCORRECT:
                outcome, message = audits[label]["outcome"], audits[label]["message"]
                faults.append(f"{name}: the wrong answer {label!r} is judged {outcome}, not incorrect. {message}")
    return faults


def untouched_faults(result: Result) -> list[str]:
    """What is wrong in a run of the untouched learner's copy: every exercise must be "not attempted"."""
    exercises = read_exercises(find_lab(result.run.slug).folder / "checks.py")
    checked = {e["exercise"]: e for e in result.events if e["event"] == "check"}
    faults = [f"{name}: never checked" for name in exercises if name not in checked]
    for name, event in checked.items():
        if event["outcome"] != NOT_ATTEMPTED:
            faults.append(f"{name}: untouched, but judged {event['outcome']}: {event['message']}")
    return faults


def ablation_fault(result: Result) -> str:
    """Why an ablated run proves nothing: it must stop at a claim that does not hold."""
    failed = [claim for claim in result.claims if not claim["holds"]]
    if failed:
        return ""
    if result.error:
        return f"it stopped, but not at a claim: {result.error}"
    return "every claim still holds with the effect switched off"
