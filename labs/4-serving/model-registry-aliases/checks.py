"""Checks, hints and wrong answers of model-registry-aliases."""

from google.cloud import aiplatform
from labkit.lesson import Exercise, Incorrect


class Promote(Exercise):
    name = "promote"
    hints = [
        "An evaluation says more than how large the improvement is: it also says how sure, and against which version.",
        "Two conditions, both needed. One of them compares two texts: evaluation['baseline'] and production.",
        "The other one compares two numbers of the evaluation: improvement and standard_error.",
    ]
    wrong = {
        "the plain number": """
def promote(evaluation, production):
    return evaluation["baseline"] == production and evaluation["improvement"] > 0
""",
        "whatever it was compared with": """
def promote(evaluation, production):
    return evaluation["improvement"] > evaluation["standard_error"]
""",
        "different instead of better": """
def promote(evaluation, production):
    return evaluation["baseline"] == production and abs(evaluation["improvement"]) > evaluation["standard_error"]
""",
        "a threshold that somebody liked": """
def promote(evaluation, production):
    return evaluation["baseline"] == production and evaluation["improvement"] > 0.1
""",
        "the version compared as a number": """
def promote(evaluation, production):
    return int(evaluation["baseline"]) == production and evaluation["improvement"] > evaluation["standard_error"]
""",
        "the other way round": """
def promote(evaluation, production):
    return evaluation["baseline"] == production and evaluation["improvement"] < -evaluation["standard_error"]
""",
    }
    # improvement, standard error, baseline, production, promote?
    cases = (
        (0.5, 0.1, "1", "1", True),
        (0.02, 0.005, "12", "12", True),
        (0.05, 0.1, "1", "1", False),
        (0.3, 0.4, "1", "1", False),
        (-0.5, 0.1, "1", "1", False),
        (-4.0, 0.3, "7", "7", False),
        (0.5, 0.1, "1", "4", False),
        (0.5, 0.1, "4", "1", False),
    )

    def check(self, promote):
        if not callable(promote):
            raise Incorrect(f"promote is a function, got {type(promote).__name__}.")
        for improvement, error, baseline, production, right in self.cases:
            evaluation = {
                "meanAbsoluteError": 5.8 - improvement,
                "baseline": baseline,
                "improvement": improvement,
                "standard_error": error,
            }
            try:
                found = promote(evaluation, production)
            except Exception as problem:
                raise Incorrect(
                    f"promote({evaluation}, {production!r}) raises {type(problem).__name__}: {problem}."
                ) from None
            if bool(found) != right:
                raise Incorrect(self.reason(found, improvement, error, baseline, production))

    def reason(self, found, improvement, error, baseline, production):
        what = f"An improvement of {improvement} ± {error} minutes over version {baseline}, production is {production}"
        if baseline != production:
            return (
                f"{what}: promoted. It was never compared with what is in production now. Another version has been "
                "promoted since, and may be better."
            )
        if not found:
            return f"{what}: not promoted, though it is better by more than its standard error."
        if improvement < 0:
            return f"{what}: promoted, though it is worse. A large difference is not a large improvement."
        return f"{what}: promoted, though a difference of that size comes from the draw of the evaluation orders alone."


class TrainingRun(Exercise):
    name = "training_run"
    hints = [
        "The registry says what is meant to be in production. Only the endpoint says what is.",
        "endpoint.traffic_split maps the id of a deployed model to its share; endpoint.list_models() has the models.",
        "A deployed model's `model` has no version in it, and a name without a version is the default one. Take "
        "model_version_id, and registry.get_model(version).",
    ]
    wrong = {
        "the default version": "run = registry.get_model().gca_resource.training_pipeline",
        "what has the alias": 'run = registry.get_model("production").gca_resource.training_pipeline',
        "the newest training": """
run = max(aiplatform.CustomTrainingJob.list(filter=mine), key=lambda job: job.create_time).resource_name
""",
        "the model, not its training": "run = registry.get_model(new.version_id).resource_name",
        "the job that the training was run by": """
pipeline = aiplatform.CustomTrainingJob.get(registry.get_model(new.version_id).gca_resource.training_pipeline)
run = pipeline.gca_resource.training_task_metadata["backingCustomJob"]
""",
    }

    def check(self, run, endpoint, registry):
        if not isinstance(run, str):
            raise Incorrect(f"run is the resource name of a training, a text; got {type(run).__name__}.")
        split = endpoint.traffic_split
        serving = next(found for found in endpoint.list_models() if found.id == max(split, key=split.get))
        right = registry.get_model(serving.model_version_id).gca_resource.training_pipeline
        if run == right:
            return
        known = {
            registry.get_model(version.version_id).gca_resource.training_pipeline: version
            for version in registry.list_versions()
        }
        if run not in known:
            raise Incorrect(
                "run is no training of this model. A version says in gca_resource.training_pipeline what has made it: "
                "projects/…/trainingPipelines/…"
            )
        version = known[run]
        raise Incorrect(
            f"That training made version {version.version_id}, which has the aliases "
            f"{', '.join(version.version_aliases) or 'none'}. The requests are answered by another version: the "
            "endpoint holds what was deployed, whatever the aliases say."
        )


class Rehearsal:
    """An endpoint with two deployed models, to try a rollback on: it only writes down what is asked of it."""

    def __init__(self, deployed, traffic):
        self._models = [
            aiplatform.gapic.DeployedModel(
                id=identifier, model="projects/p/locations/l/models/m", model_version_id=version
            )
            for identifier, version in deployed.items()
        ]
        self.traffic_split = dict(traffic)
        self.asked = []

    def list_models(self):
        return list(self._models)

    def update(self, display_name=None, description=None, labels=None, traffic_split=None, **_):
        self.asked.append("update")
        if traffic_split is None:
            return self
        unknown = set(traffic_split) - {model.id for model in self._models}
        if unknown:
            raise ValueError(
                f"traffic_split names models that are not deployed: {', '.join(sorted(map(str, unknown)))}"
            )
        if sum(traffic_split.values()) != 100:
            raise ValueError(f"the shares of traffic_split are {sum(traffic_split.values())} in all and not 100")
        self.traffic_split = dict(traffic_split)
        return self

    def undeploy(self, *_, **__):
        self.asked.append("undeploy")

    def undeploy_all(self, *_, **__):
        self.asked.append("undeploy")

    def deploy(self, *_, **__):
        self.asked.append("deploy")


class RollBack(Exercise):
    name = "roll_back"
    hints = [
        "Both versions are deployed. What is it that decides which of them answers?",
        "endpoint.update(traffic_split=…) takes a share for each deployed model, by its id. They are 100 in all.",
        "The id of a deployed model is not the id of its version: endpoint.list_models() has both, id and "
        "model_version_id.",
    ]
    wrong = {
        "undeploy what has failed": """
def roll_back(endpoint, version):
    for found in endpoint.list_models():
        if found.model_version_id != version:
            endpoint.undeploy(found.id)
""",
        "deploy once more": """
def roll_back(endpoint, version):
    endpoint.deploy(registry.get_model(version), traffic_percentage=100)
""",
        "move the alias": """
def roll_back(endpoint, version):
    registry.add_version_aliases(["production"], version=version)
""",
        "the version's id": """
def roll_back(endpoint, version):
    endpoint.update(traffic_split={version: 100})
""",
        "the first one on the list": """
def roll_back(endpoint, version):
    first, *others = endpoint.list_models()
    endpoint.update(traffic_split={first.id: 100, **{other.id: 0 for other in others}})
""",
        "half of it": """
def roll_back(endpoint, version):
    endpoint.update(traffic_split={found.id: 50 for found in endpoint.list_models()})
""",
    }

    def check(self, roll_back):
        if not callable(roll_back):
            raise Incorrect(f"roll_back is a function, got {type(roll_back).__name__}.")
        for deployed, good in (
            ({"71": "4", "52": "1"}, "1"),
            ({"52": "1", "71": "4"}, "1"),
            ({"9": "2", "8": "3"}, "3"),
        ):
            bad = next(identifier for identifier, version in deployed.items() if version != good)
            right = next(identifier for identifier, version in deployed.items() if version == good)
            endpoint = Rehearsal(deployed, {bad: 100, right: 0})
            self.run(roll_back, endpoint, good)
            self.judge(endpoint, right, good)

    def run(self, roll_back, endpoint, version):
        try:
            roll_back(endpoint, version)
        except Exception as problem:
            raise Incorrect(
                f"On an endpoint with two versions it raises {type(problem).__name__}: {problem}."
            ) from None

    def judge(self, endpoint, right, version):
        if "undeploy" in endpoint.asked:
            raise Incorrect(
                "It undeploys a model. What has failed cannot be looked at any more, and where it has the traffic, "
                "nothing is left to answer until something else is there."
            )
        if "deploy" in endpoint.asked:
            raise Incorrect(
                f"It deploys version {version} once more. It is there already: a new deployment takes minutes, with "
                "nonsense for the customers, and a third machine."
            )
        share = endpoint.traffic_split.get(right, 0)
        if share != 100:
            raise Incorrect(
                f"Afterwards version {version} has {share}% of the traffic. An alias in the registry does not move "
                "traffic, and the order of list_models() says nothing: the shares go by the deployed models' ids."
            )
