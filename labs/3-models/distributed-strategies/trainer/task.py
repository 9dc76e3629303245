"""Trains a digit classifier in the role that TF_CONFIG gives this machine.

    python -m trainer.task --strategy=multiworker --steps=40

Keras 2 (`tf_keras`): models of Keras 3 fail under MultiWorkerMirroredStrategy and ParameterServerStrategy.
"""

import argparse
import os

import numpy as np
import tensorflow as tf
import tf_keras
from sklearn.datasets import load_digits

HIDDEN = 256
TRAIN_IMAGES = 1500


def digits(seed):
    """(images, labels) to train on and to test on: 1797 scans of 8 x 8 pixels."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = (images[order] / 16).astype("float32"), labels[order].astype("int32")
    return (images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES]), (images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])


def build_model(seed):
    """The same start on every machine: each initial weight comes from the seed."""
    first, second = tf_keras.initializers.GlorotUniform(seed), tf_keras.initializers.GlorotUniform(seed + 1)
    return tf_keras.Sequential(
        [
            tf_keras.layers.Input((64,)),
            tf_keras.layers.Dense(HIDDEN, activation="tanh", kernel_initializer=first),
            tf_keras.layers.Dense(10, kernel_initializer=second),
        ]
    )


def global_batches(train_set, seed, global_batch, first_step=0):
    """Global batches without end. What one holds depends on its step alone, so a resumed run meets the same ones."""
    images, labels = (tf.constant(part) for part in train_set)

    def example(position):
        epoch, place = position // TRAIN_IMAGES, position % TRAIN_IMAGES
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        chosen = tf.random.experimental.index_shuffle(place, seed=key, max_index=TRAIN_IMAGES - 1)
        return images[chosen], labels[chosen]

    positions = tf.data.Dataset.counter(start=first_step * global_batch)
    batches = positions.map(example).batch(global_batch, drop_remainder=True)
    options = tf.data.Options()
    # Each worker takes its share of every global batch; the default would look for files to share out.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def replica_loss(per_example_loss, global_batch):
    """One replica's part of the loss. The strategy adds the parts up, so each is divided by the global batch."""
    return tf.reduce_sum(per_example_loss) / global_batch


def whole_state(model, optimizer):
    """All that a resumed run needs: weights, momentum, and `iterations`, which says where in the data it is."""
    return tf.train.Checkpoint(model=model, optimizer=optimizer)


def train(
    strategy,
    seed,
    steps,
    global_batch=64,
    learning_rate=0.1,
    momentum=0.9,
    checkpoint_dir=None,
    checkpoint_every=10,
    loss_of_replica=replica_loss,
    make_checkpoint=whole_state,
    after_step=lambda step, loss: None,
):
    """Trains under any synchronous strategy, from the last checkpoint in `checkpoint_dir` on. Returns the model."""
    train_set, _ = digits(seed)
    with strategy.scope():
        model = build_model(seed)
        optimizer = tf_keras.optimizers.SGD(learning_rate, momentum=momentum)
        optimizer.build(model.trainable_variables)
    if checkpoint_dir:
        checkpoint = make_checkpoint(model, optimizer)
        checkpoint.restore(tf.train.latest_checkpoint(checkpoint_dir))  # all workers read what the chief has written
        own_folder = checkpoint_dir if is_chief(strategy) else os.path.join(checkpoint_dir, f"worker-{os.getpid()}")
        manager = tf.train.CheckpointManager(checkpoint, own_folder, max_to_keep=2)
    first_step = int(optimizer.iterations.numpy())

    def replica_step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = tf_keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            loss = loss_of_replica(losses, global_batch)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # adds the replicas' gradients up
        return loss

    @tf.function
    def step_on_all_replicas(batches):
        return strategy.reduce("SUM", strategy.run(replica_step, args=next(batches)), axis=None)

    dataset = global_batches(train_set, seed, global_batch, first_step)
    batches = iter(strategy.experimental_distribute_dataset(dataset))
    for step in range(first_step + 1, steps + 1):
        loss = float(step_on_all_replicas(batches))
        if checkpoint_dir and step % checkpoint_every == 0:
            manager.save(checkpoint_number=step)
        after_step(step, loss)
    return model


def is_chief(strategy):
    """Whether this machine's checkpoints count. All must save at the same moment, the others in a folder apart."""
    role = strategy.cluster_resolver
    if role is None or role.task_type in (None, "chief"):
        return True
    return role.task_id == 0 and "chief" not in role.cluster_spec().jobs  # without a chief the first worker is it


def train_asynchronously(
    strategy, seed, gradients, batch=128, learning_rate=0.1, in_flight=0, after_round=lambda done: None
):
    """Parameter-server training, steered by the chief. Returns the model and the staleness of every gradient.

    `in_flight`: how many gradients may be under way at once; 0 keeps every worker busy.
    """
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    train_set, _ = digits(seed)
    with strategy.scope():
        model = build_model(seed)
        optimizer = tf_keras.optimizers.SGD(learning_rate)
        optimizer.build(model.trainable_variables)
    version = optimizer.iterations  # one more with every gradient that is applied

    def replica_step(images, labels):
        version_read = version.read_value()
        with tf.control_dependencies([version_read]), tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf_keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
            mine = tape.gradient(loss, model.trainable_variables)
        with tf.control_dependencies(mine):
            version_met = version.read_value()
        with tf.control_dependencies([version_met]):
            optimizer.apply_gradients(zip(mine, model.trainable_variables))
        # Staleness: gradients of others that were applied since this one's weights were read. It is counted before the
        # gradient travels, so it is a lower bound.
        return version_met - version_read

    @tf.function
    def worker_step(batches):
        return strategy.run(replica_step, args=next(batches))

    def batches_of_a_worker():
        return tf.data.Dataset.from_tensor_slices(train_set).shuffle(TRAIN_IMAGES).repeat().batch(batch)

    batches = iter(coordinator.create_per_worker_dataset(batches_of_a_worker))
    staleness, together = [], in_flight or 20
    while len(staleness) < gradients:
        sent = [coordinator.schedule(worker_step, args=(batches,)) for _ in range(together)]
        coordinator.join()
        staleness += [int(value.fetch()) for value in sent]
        after_round(len(staleness))
    return model, staleness


def accuracy(model, seed):
    """Share of the test images that the model reads right."""
    _, (images, labels) = digits(seed)
    return float(np.mean(np.argmax(model(images), axis=1) == labels))


def evaluate(checkpoint_dir, seed):
    """What an evaluator does: it reads the last checkpoint, from outside the cluster, and holds up nobody."""
    model = build_model(seed)
    tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(checkpoint_dir)).expect_partial()
    return accuracy(model, seed)


def role_of_this_machine():
    """The cluster and this machine's task in it, from TF_CONFIG."""
    role = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "LISTEN_PORT" in os.environ:  # where a port mapping stands between the address in TF_CONFIG and this process
        role.port = int(os.environ["LISTEN_PORT"])
    return role


def serve(role):
    """What a worker and a parameter server do all their life: wait for orders of the chief."""
    server = tf.train.ServerDef(
        cluster=role.cluster_spec().as_cluster_def(),
        job_name=role.task_type,
        task_index=role.task_id,
        protocol="grpc",
        port=getattr(role, "port", 0),
        default_session_config=tf.compat.v1.ConfigProto(inter_op_parallelism_threads=4),
    )
    tf.distribute.Server(server).join()


def main(argv=None, after_step=lambda step: None):
    parser = argparse.ArgumentParser(description="Trains a digit classifier.")
    parser.add_argument("--strategy", choices=["multiworker", "parameter-server"], default="multiworker")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40, help="synchronous steps, or gradients of a parameter server")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--in-flight", type=int, default=0, help="gradients under way at once; 0: all workers busy")
    # Vertex AI sets this variable, a folder in Cloud Storage, when the job has a base output directory.
    parser.add_argument("--checkpoint-dir", default=os.environ.get("AIP_CHECKPOINT_DIR"))
    options = parser.parse_args(argv)
    role = role_of_this_machine()
    done = []

    def report(step, loss):
        print(f"step {step} loss {loss:.6f}", flush=True)
        done.append(str(step))
        after_step(step)

    if role.task_type == "evaluator":
        print(f"accuracy {evaluate(options.checkpoint_dir, options.seed)}", flush=True)
    elif options.strategy == "multiworker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=role)
        train(
            strategy,
            options.seed,
            options.steps,
            learning_rate=options.learning_rate,
            checkpoint_dir=options.checkpoint_dir,
            after_step=report,
        )
        if options.checkpoint_dir and is_chief(strategy):
            with tf.io.gfile.GFile(os.path.join(options.checkpoint_dir, "steps.txt"), "w") as file:
                file.write(" ".join(done))
    elif role.task_type in ("worker", "ps"):
        serve(role)
    else:
        model, staleness = train_asynchronously(
            tf.distribute.ParameterServerStrategy(role),
            options.seed,
            options.steps,
            learning_rate=options.learning_rate,
            in_flight=options.in_flight,
            after_round=after_step,
        )
        print("staleness", *staleness)
        print(f"accuracy {accuracy(model, options.seed)}", flush=True)


if __name__ == "__main__":
    main()
