"""Checks, hints and wrong answers of distributed-strategies."""

import copy
import json
import tempfile
from pathlib import Path

from labkit.lesson import Exercise, Incorrect


class ReplicaLoss(Exercise):
    name = "replica_loss"
    hints = [
        "With 64 examples on two replicas, by what must each example's loss be divided in the end?",
        "The strategy adds the replicas' gradients up, it does not average them. What does the sum of two means give?",
        "Add up the losses that this replica has, and divide by a number that is the same on all replicas.",
    ]
    wrong = {
        "mean over the replica": "def replica_loss(per_example_loss, global_batch):\n"
        "    return tf.reduce_mean(per_example_loss)",
        "nothing divided": "def replica_loss(per_example_loss, global_batch):\n"
        "    return tf.reduce_sum(per_example_loss)",
        "two replicas taken for granted": "def replica_loss(per_example_loss, global_batch):\n"
        "    return tf.reduce_mean(per_example_loss) / 2",
        "mean, and then divided by the batch": "def replica_loss(per_example_loss, global_batch):\n"
        "    return tf.reduce_mean(per_example_loss) / global_batch",
        "a batch of 64 taken for granted": "def replica_loss(per_example_loss, global_batch):\n"
        "    return tf.reduce_sum(per_example_loss) / 64",
        "the losses as they are": "def replica_loss(per_example_loss, global_batch):\n"
        "    return per_example_loss / global_batch",
    }

    def check(self, replica_loss, task, make_strategy, seed):
        import numpy as np
        import tensorflow as tf

        shape = tf.convert_to_tensor(replica_loss(tf.constant([1.0, 2.0, 3.0]), 6)).shape
        if shape.rank != 0:
            raise Incorrect(f"A loss is one number for the replica; this has the shape {tuple(shape)}.")
        start = task.build_model(seed).get_weights()

        def way(strategy, batch, loss):
            """How far one step of plain gradient descent moves the weights."""
            # An answer that was typed into a cell has no source file that AutoGraph could read.
            loss = tf.autograph.experimental.do_not_convert(loss)
            model = task.train(strategy, seed, 1, global_batch=batch, momentum=0.0, loss_of_replica=loss)
            return np.linalg.norm([np.linalg.norm(a - b) for a, b in zip(model.get_weights(), start)])

        for name, batch in [("MirroredStrategy", 24), ("default", 64)]:
            strategy = make_strategy[name]()
            right = way(make_strategy["default"](), batch, lambda losses, size: tf.reduce_mean(losses))
            ratio = way(strategy, batch, replica_loss) / right
            if not np.isclose(ratio, 1, rtol=1e-3):
                replicas = strategy.num_replicas_in_sync
                raise Incorrect(
                    f"With {replicas} replica{'s' if replicas > 1 else ''} and a global batch of {batch} the step is "
                    f"{ratio:.3g} times as long as that of one machine. That is a learning rate {ratio:.3g} times as "
                    "large, and no error tells you."
                )


class TFConfig(Exercise):
    name = "tf_config"
    hints = [
        "Two keys. Which of the two must be the same on all machines, and which must differ?",
        "The index counts within a role: it starts at 0 for the workers and again at 0 for the parameter servers.",
        "The evaluator has a task like everybody, but who may find its address in `cluster`?",
    ]
    wrong = {
        "the evaluator in the cluster": "def tf_config(addresses, role, index):\n"
        "    return {'cluster': addresses, 'task': {'type': role, 'index': index}}",
        "only the own role in the cluster": "def tf_config(addresses, role, index):\n"
        "    return {'cluster': {role: addresses[role]}, 'task': {'type': role, 'index': index}}",
        "index over all machines": "def tf_config(addresses, role, index):\n"
        "    cluster = {name: at for name, at in addresses.items() if name != 'evaluator'}\n"
        "    everyone = [at for name in addresses for at in addresses[name]]\n"
        "    return {'cluster': cluster, 'task': {'type': role, 'index': everyone.index(addresses[role][index])}}",
        "without itself": "def tf_config(addresses, role, index):\n"
        "    cluster = {name: list(at) for name, at in addresses.items() if name != 'evaluator'}\n"
        "    if role in cluster:\n"
        "        cluster[role].pop(index)\n"
        "    return {'cluster': cluster, 'task': {'type': role, 'index': index}}",
        "the address as the task": "def tf_config(addresses, role, index):\n"
        "    cluster = {name: at for name, at in addresses.items() if name != 'evaluator'}\n"
        "    return {'cluster': cluster, 'task': addresses[role][index]}",
    }

    def check(self, tf_config, addresses):
        smaller = {"chief": ["one:1"], "worker": ["two:1", "three:1"], "evaluator": ["four:1"]}
        for machines in (addresses, smaller):
            expected = {role: list(at) for role, at in machines.items() if role != "evaluator"}
            for role, at in machines.items():
                for index in range(len(at)):
                    self._judge(tf_config(copy.deepcopy(machines), role, index), expected, role, index)

    def _judge(self, config, expected, role, index):
        here = f"On {role} {index}"
        if isinstance(config, str):  # as it will stand in the environment
            config = json.loads(config)
        if not isinstance(config, dict) or set(config) != {"cluster", "task"}:
            raise Incorrect(f"{here}: a dictionary with the keys `cluster` and `task`, got {config!r}.")
        cluster, task = config["cluster"], config["task"]
        if "evaluator" in cluster:
            raise Incorrect(
                f"{here} the evaluator is in the cluster: the training machines would wait for a machine that never "
                "takes part in training."
            )
        if cluster != expected:
            raise Incorrect(
                f"{here} the cluster is {cluster}. All machines must see the same one, with every training machine in "
                f"it, themselves included: {expected}. Machines with different clusters never find each other."
            )
        if not isinstance(task, dict) or task.get("type") != role or str(task.get("index")) != str(index):
            raise Incorrect(
                f"{here} the task is {task!r}. It is {{'type': {role!r}, 'index': {index}}}: the index counts within "
                "the role. Two machines with one identity, or one that nobody has, and the cluster never starts."
            )


class MakeCheckpoint(Exercise):
    name = "make_checkpoint"
    hints = [
        "After a restart a fresh model and a fresh optimizer are made. What do they know that the old ones knew?",
        "Where does SGD with momentum keep the momentum? And who counts the steps?",
        "A tf.train.Checkpoint takes objects by any name, and each object brings all its variables.",
    ]
    wrong = {
        "the weights": "def make_checkpoint(model, optimizer):\n    return tf.train.Checkpoint(model=model)",
        "weights and step": "def make_checkpoint(model, optimizer):\n"
        "    return tf.train.Checkpoint(model=model, step=optimizer.iterations)",
        "weights and learning rate": "def make_checkpoint(model, optimizer):\n"
        "    return tf.train.Checkpoint(model=model, rate=optimizer.learning_rate)",
        "the optimizer": "def make_checkpoint(model, optimizer):\n    return tf.train.Checkpoint(optimizer=optimizer)",
        "arrays": "def make_checkpoint(model, optimizer):\n    return model.get_weights() + optimizer.get_weights()"
        " if hasattr(optimizer, 'get_weights') else model.get_weights()",
    }

    def check(self, make_checkpoint, build_model):
        import numpy as np
        import tensorflow as tf
        import tf_keras

        def fresh():
            model = build_model(0)
            optimizer = tf_keras.optimizers.SGD(0.1, momentum=0.9)
            optimizer.build(model.trainable_variables)
            return model, optimizer

        model, optimizer = fresh()
        for _ in range(3):
            optimizer.apply_gradients([(tf.ones_like(weight), weight) for weight in model.trainable_variables])
        old = {"weights": model.get_weights(), **_state(optimizer)}
        checkpoint = make_checkpoint(model, optimizer)
        if not isinstance(checkpoint, tf.train.Checkpoint):
            raise Incorrect(
                f"A tf.train.Checkpoint, got {type(checkpoint).__name__}: values that were copied out do not find "
                "their way back into the variables of every machine."
            )
        with tempfile.TemporaryDirectory() as folder:
            path = checkpoint.write(str(Path(folder) / "check"))
            model, optimizer = fresh()
            make_checkpoint(model, optimizer).read(path)
        new = {"weights": model.get_weights(), **_state(optimizer)}
        lost = [what for what in old if not all(np.array_equal(a, b) for a, b in zip(old[what], new[what]))]
        costs = {
            "weights": "the model starts from scratch",
            "step": "the run begins again at the first batch and does steps twice",
            "momentum": "the next steps go another way, and the run ends at another model",
        }
        if lost:
            raise Incorrect("Lost after the restore: " + "; ".join(f"{what} ({costs[what]})" for what in lost))


def _state(optimizer):
    """Step and momentum of a Keras 2 SGD."""
    return {
        "step": [optimizer.iterations.numpy()],
        "momentum": [momentum.numpy() for momentum in optimizer.momentums],
    }


WHY = {
    "A": ("MirroredStrategy", "One machine with several GPUs: a copy on each, all-reduce inside the machine."),
    "B": (
        "MultiWorkerMirroredStrategy",
        "Several equal machines that stay: nobody has to be waited for, so nothing speaks for stale gradients.",
    ),
    "C": ("TPUStrategy", "The cores of a TPU are not GPUs: only this strategy compiles for them and finds them."),
    "D": (
        "ParameterServerStrategy",
        "A synchronous job waits for the slowest machine and stops with each that goes; and a worker should fetch only "
        "the rows of the embedding that it needs.",
    ),
    "E": (
        "CentralStorageStrategy",
        "A mirrored strategy puts a copy of every variable on every GPU, and the table fits into none of them.",
    ),
    "F": (
        "OneDeviceStrategy",
        "The same code, scope and run with one replica on the device that you name; a mirrored strategy is for more.",
    ),
}


class Choice(Exercise):
    name = "choice"
    hints = [
        "First: is it a TPU? Then: one machine, or several?",
        "Several machines: are they alike and do they stay? Who pays if all wait for the slowest?",
        "One machine, several GPUs: does every variable fit into every GPU?",
    ]
    wrong = {
        "several machines, so parameter servers": 'choice = {"A": "MirroredStrategy", "B": "ParameterServerStrategy", '
        '"C": "TPUStrategy", "D": "ParameterServerStrategy", "E": "CentralStorageStrategy", "F": "OneDeviceStrategy"}',
        "mirrored on every single machine": 'choice = {"A": "MirroredStrategy", "B": "MultiWorkerMirroredStrategy", '
        '"C": "TPUStrategy", "D": "ParameterServerStrategy", "E": "MirroredStrategy", "F": "OneDeviceStrategy"}',
        "all-reduce over Spot machines": 'choice = {"A": "MirroredStrategy", "B": "MultiWorkerMirroredStrategy", '
        '"C": "TPUStrategy", "D": "MultiWorkerMirroredStrategy", "E": "CentralStorageStrategy", '
        '"F": "OneDeviceStrategy"}',
        "a TPU taken for eight GPUs": 'choice = {"A": "MirroredStrategy", "B": "MultiWorkerMirroredStrategy", '
        '"C": "MirroredStrategy", "D": "ParameterServerStrategy", "E": "CentralStorageStrategy", '
        '"F": "OneDeviceStrategy"}',
        "a list": 'choice = ["MirroredStrategy", "MultiWorkerMirroredStrategy", "TPUStrategy", '
        '"ParameterServerStrategy", "CentralStorageStrategy", "OneDeviceStrategy"]',
    }

    def check(self, choice):
        if not isinstance(choice, dict) or set(choice) != set(WHY):
            raise Incorrect('A dictionary with one strategy for each job: {"A": "…", … "F": "…"}.')
        for job, (right, why) in WHY.items():
            name = str(choice[job]).rpartition(".")[2].removesuffix("Strategy")
            if name.lower() != right.removesuffix("Strategy").lower():
                raise Incorrect(f"Job {job} with {choice[job]!r}: {why}")
