"""Checks, hints and wrong answers of transfer-learning-augmentation."""

import numpy as np
from labkit.lesson import Exercise, Incorrect


class NewHead(Exercise):
    name = "new_head"
    hints = [
        "Which of base.layers do you keep, and which one knows the old classes?",
        "A layer is frozen when its attribute trainable is False. clone_model makes layers with new random weights.",
        "model.trainable_weights must be two tensors in the end: kernel and bias of the new head.",
    ]
    wrong = {
        "nothing frozen": (
            "def new_head(base, classes):\n"
            "    return keras.Sequential([keras.Input((64,)), *base.layers[:-1], keras.layers.Dense(classes)])"
        ),
        "cloned without its weights": (
            "def new_head(base, classes):\n"
            "    hidden = keras.models.clone_model(base).layers[:-1]\n"
            "    for layer in hidden:\n"
            "        layer.trainable = False\n"
            "    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(classes)])"
        ),
        "on top of the old head": (
            "def new_head(base, classes):\n"
            "    base.trainable = False\n"
            "    return keras.Sequential([keras.Input((64,)), base, keras.layers.Dense(classes)])"
        ),
        "everything frozen": (
            "def new_head(base, classes):\n"
            "    model = keras.Sequential([keras.Input((64,)), *base.layers[:-1], keras.layers.Dense(classes)])\n"
            "    model.trainable = False\n"
            "    return model"
        ),
        "the base loses its head": (
            "def new_head(base, classes):\n"
            "    base.pop()\n"
            "    base.trainable = False\n"
            "    return keras.Sequential([keras.Input((64,)), base, keras.layers.Dense(classes)])"
        ),
        "softmax in the head": (
            "def new_head(base, classes):\n"
            "    for layer in base.layers[:-1]:\n"
            "        layer.trainable = False\n"
            "    head = keras.layers.Dense(classes, activation='softmax')\n"
            "    return keras.Sequential([keras.Input((64,)), *base.layers[:-1], head])"
        ),
        "only the first layer frozen": (
            "def new_head(base, classes):\n"
            "    base.layers[0].trainable = False\n"
            "    return keras.Sequential([keras.Input((64,)), *base.layers[:-1], keras.layers.Dense(classes)])"
        ),
    }

    def check(self, new_head, base):
        import keras

        trial = keras.models.clone_model(base)  # an answer may damage its base; the notebook goes on with the real one
        trial.set_weights(base.get_weights())
        x = np.random.default_rng(0).random((20, 64)).astype("float32")
        before = np.asarray(base(x))
        classes = 3
        model = new_head(trial, classes)
        if not isinstance(model, keras.Model):
            raise Incorrect(f"new_head returns a Keras model, got {type(model).__name__}.")
        after = np.asarray(trial(x))
        if after.shape != before.shape or not np.allclose(after, before, atol=1e-5):
            raise Incorrect("base predicts something else than before: whoever still uses it has lost the old task.")
        out = np.asarray(model(x))
        if out.shape != (len(x), classes):
            raise Incorrect(f"For {classes} classes and {len(x)} images the output has shape {out.shape}.")
        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        width = base.get_weights()[4].shape[0]
        wanted = (width + 1) * classes
        if trainable == 0:
            raise Incorrect("Everything is frozen, the new head too: it would stay random for ever.")
        if trainable > wanted:
            raise Incorrect(
                f"{trainable:,} weights are trainable, the head has {wanted:,}: hidden layers are not frozen. With a "
                "handful of labels they would be trained away from what they know."
            )
        if trainable < wanted:
            raise Incorrect(
                f"The head has {trainable} weights instead of {wanted}: it does not read the {width} outputs of the "
                "last hidden layer. On the old head's scores it sees the new digits only by how much they look like "
                "the old ones."
            )
        w = base.get_weights()
        features = np.maximum(np.maximum(x @ w[0] + w[1], 0) @ w[2] + w[3], 0)
        kernel, bias = (np.asarray(one) for one in model.trainable_weights)
        scores = features @ kernel + bias
        if np.allclose(out, scores, atol=1e-3):
            return
        if np.allclose(out.sum(axis=1), 1, atol=1e-4):
            raise Incorrect("The head has a softmax, but the loss expects scores (from_logits=True): no activation.")
        raise Incorrect(
            "The head does not see what base's hidden layers make of the image: their trained weights are not there. "
            "clone_model copies the layers, not the weights."
        )


class Rehearsal(Exercise):
    name = "rehearsal"
    hints = [
        "For one old digit: at which places is it in old_labels, and which of these do you draw?",
        "rng.choice(places, per_digit, replace=False), once for each digit in np.unique(old_labels).",
        "Use the same places for images and labels, and put both behind the new ones.",
    ]
    wrong = {
        "the first ones": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    n = per_digit * len(np.unique(old_labels))\n"
            "    return np.concatenate([images, old_images[:n]]), np.concatenate([labels, old_labels[:n]])"
        ),
        "any old images": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    n = per_digit * len(np.unique(old_labels))\n"
            "    chosen = rng.choice(len(old_labels), n, replace=False)\n"
            "    return np.concatenate([images, old_images[chosen]]), np.concatenate([labels, old_labels[chosen]])"
        ),
        "all of them": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    return np.concatenate([images, old_images]), np.concatenate([labels, old_labels])"
        ),
        "the old ones only": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    chosen = np.concatenate([rng.choice(np.flatnonzero(old_labels == digit), per_digit, "
            "replace=False)\n"
            "                             for digit in np.unique(old_labels)])\n"
            "    return old_images[chosen], old_labels[chosen]"
        ),
        "with replacement": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    chosen = np.concatenate([rng.choice(np.flatnonzero(old_labels == digit), per_digit)\n"
            "                             for digit in np.unique(old_labels)])\n"
            "    return np.concatenate([images, old_images[chosen]]), np.concatenate([labels, old_labels[chosen]])"
        ),
        "labels of other images": (
            "def rehearsal(images, labels, old_images, old_labels, per_digit, rng):\n"
            "    chosen = np.concatenate([rng.choice(np.flatnonzero(old_labels == digit), per_digit, "
            "replace=False)\n"
            "                             for digit in np.unique(old_labels)])\n"
            "    return np.concatenate([images, old_images[chosen]]), "
            "np.concatenate([labels, old_labels[:len(chosen)]])"
        ),
    }

    def check(self, rehearsal):
        rng = np.random.default_rng(1)
        counts = [14, 8, 30, 9, 11]
        old_labels = np.concatenate([np.full(count, digit) for digit, count in enumerate(counts)])
        old_images = rng.random((len(old_labels), 64)).astype("float32")
        labels = np.repeat(np.arange(5, 10), 2)
        images = rng.random((len(labels), 64)).astype("float32")
        per_digit = 8
        arguments = [one.copy() for one in (images, labels, old_images, old_labels)]
        found = rehearsal(*arguments, per_digit, np.random.default_rng(2))
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Incorrect("Return two things: the images and their labels.")
        x, y = (np.asarray(one) for one in found)
        if len(x) != len(y):
            raise Incorrect(f"{len(x)} images, but {len(y)} labels.")
        if not all((x == image).all(axis=1).any() for image in images):
            raise Incorrect("New examples are missing: without them the new bays are not learnt.")
        if not (x[: len(images)] == images).all() or not (y[: len(labels)] == labels).all():
            raise Incorrect("The new examples, with their labels as they were given, come first.")
        place = [np.flatnonzero((old_images == image).all(axis=1)) for image in x[len(images) :]]
        if any(len(one) == 0 for one in place):
            raise Incorrect("There are images that are neither among the new nor among the old ones.")
        place = np.array([one[0] for one in place], dtype=int)
        if not (old_labels[place] == y[len(images) :]).all():
            raise Incorrect("Old images come with the labels of other images: it would teach the network nonsense.")
        drawn = np.bincount(old_labels[place], minlength=5)
        if (drawn != per_digit).any():
            raise Incorrect(
                f"Of the old digits 0 to 4 there are {drawn.tolist()} examples instead of {per_digit} each. A digit "
                "without examples is forgotten, and too many of one outweigh the few new labels."
            )
        if len(np.unique(place)) < len(place):
            raise Incorrect("The same old image is drawn several times: draw without replacement, each is worth more.")


class HalfTurn(Exercise):
    name = "half_turn"
    hints = [
        "Which digits are still digits when you turn the page upside down?",
        "A turn by 180 degrees reverses rows and columns of each picture; the order of the pictures stays.",
        "np.isin(labels, [6, 8, 9]) says which to keep. Then give them the label that they have after the turn.",
    ]
    wrong = {
        "labels kept": "def half_turn(pictures, labels):\n    return pictures[:, ::-1, ::-1], labels",
        "labels of 6, 8 and 9 kept": (
            "def half_turn(pictures, labels):\n"
            "    still = np.isin(labels, [6, 8, 9])\n"
            "    return pictures[still][:, ::-1, ::-1], labels[still]"
        ),
        "mirrored, not turned": (
            "def half_turn(pictures, labels):\n"
            "    still = np.isin(labels, [6, 8, 9])\n"
            "    return pictures[still][:, :, ::-1], np.array([{6: 9, 8: 8, 9: 6}[label] for label in labels[still]])"
        ),
        "upside down, not turned": (
            "def half_turn(pictures, labels):\n"
            "    still = np.isin(labels, [6, 8, 9])\n"
            "    return pictures[still][:, ::-1], np.array([{6: 9, 8: 8, 9: 6}[label] for label in labels[still]])"
        ),
        "np.rot90 with its default axes": (
            "def half_turn(pictures, labels):\n"
            "    still = np.isin(labels, [6, 8, 9])\n"
            "    return np.rot90(pictures[still], 2), np.array([{6: 9, 8: 8, 9: 6}[label] for label in labels[still]])"
        ),
        "5 and 7 kept": (
            "def half_turn(pictures, labels):\n"
            "    return pictures[:, ::-1, ::-1], np.array([{6: 9, 9: 6}.get(label, label) for label in labels])"
        ),
        "6 and 9 left out": (
            "def half_turn(pictures, labels):\n"
            "    still = labels == 8\n"
            "    return pictures[still][:, ::-1, ::-1], labels[still]"
        ),
    }

    def check(self, half_turn):
        rng = np.random.default_rng(3)
        labels = np.array([5, 6, 7, 8, 9, 6, 9, 5, 8, 7, 6])
        pictures = rng.random((len(labels), 8, 8)).astype("float32")
        found = half_turn(pictures.copy(), labels.copy())
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Incorrect("Return two things: the pictures and their labels.")
        x, y = (np.asarray(one) for one in found)
        if x.ndim != 3 or x.shape[1:] != (8, 8) or len(x) != len(y):
            raise Incorrect(f"Pictures of shape (n, 8, 8) and n labels, got {x.shape} and {y.shape}.")
        turned = pictures[:, ::-1, ::-1]
        source = [np.flatnonzero((turned == one).all(axis=(1, 2))) for one in x]
        if any(len(one) == 0 for one in source):
            raise Incorrect(
                "These are not the pictures turned by 180 degrees. A turn reverses rows and columns of each picture; "
                "a mirror image of a 6 is no 9, and np.rot90 turns the first two axes, which mixes the pictures."
            )
        was = labels[[one[0] for one in source]]
        if np.isin(was, [5, 7]).any():
            raise Incorrect("A turned 5 or 7 is in the result: it is no digit any more, whatever label it gets.")
        right = np.array([{6: 9, 8: 8, 9: 6}[label] for label in was])
        if not (y == right).all():
            at = int(np.flatnonzero(y != right)[0])
            raise Incorrect(f"A {was[at]}, turned, is labelled {y[at]}, and whoever looks at it reads a {right[at]}.")
        if len(y) < np.isin(labels, [6, 8, 9]).sum():
            raise Incorrect("Pictures are missing: 6, 8 and 9 are all still digits after half a turn.")
