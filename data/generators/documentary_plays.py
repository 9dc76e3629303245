"""Plays of documentaries with a planted truth: taste that subjects explain in part, fame, new releases, new users.

Who plays what is a softmax over the titles that are out and that this user has not played yet. A pair's score is a sum:
    SUBJECT_PULL * (subjects of the title . subject taste of the user)         the catalogue shows the subjects
  + hidden * HIDDEN_PULL * (mood of the title . mood taste of the user)        no column shows the mood
  + fame of the title                                                          no column shows it: only plays do
  + NOVELTY * exp(-age / NOVELTY_DAYS), for a release of these twelve weeks    it stands on the front page
"""

import numpy as np
import pandas as pd

SUBJECTS = (
    "wildlife",
    "oceans",
    "space",
    "history",
    "war",
    "crime",
    "food",
    "music",
    "sport",
    "money",
    "medicine",
    "travel",
)
DAYS = 84
MOODS = 6
SUBJECT_PULL, HIDDEN_PULL, FAME = 7.0, 0.9, 1.0
NOVELTY, NOVELTY_DAYS = 1.5, 7.0
LATE_USERS, LATE_DAYS = 0.1, 14  # this share of the users signs up in the last two weeks, the others on day 0


def make(
    seed: int,
    part: str = "plays",
    users: int = 1200,
    titles: int = 400,
    releases: float = 0.4,
    hidden: float = 1.0,
) -> pd.DataFrame:
    """One table of the data set; the same seed and sizes give tables that belong together.

    part "plays": user_id, title_id, day (0 .. 83), one row a user and title, in the order of time.
    part "titles": title_id, release_day (0: there from the start), then one column a subject, whose weights sum to 1.
    part "users": user_id, signup_day, declared (the subject ticked at sign-up).
    part "truth": user_id, title_id, score without novelty, all pairs: what nobody sees outside a simulation.
    `releases` is the share of titles that come out during the twelve weeks, `hidden` scales the pull of the mood.
    Raises ValueError for another part.
    """
    if part == "titles":
        return _title_table(seed, titles, releases)
    if part == "users":
        return _user_table(seed, users)
    if part not in ("plays", "truth"):
        raise ValueError(f"part {part!r} is not one of plays, titles, users, truth.")
    catalogue, people = _title_table(seed, titles, releases), _user_table(seed, users)
    score = _scores(seed, catalogue, users, hidden)
    if part == "plays":
        user, title, day = _play(_rng(seed, 3), score, catalogue, people)
        return pd.DataFrame({"user_id": _ids("u", users)[user], "title_id": _ids("t", titles)[title], "day": day})
    user, title = (place.ravel() for place in np.indices(score.shape))
    ids = {"user_id": _ids("u", users)[user], "title_id": _ids("t", titles)[title]}
    return pd.DataFrame({**ids, "score": score.ravel()})


def _rng(seed: int, stream: int) -> np.random.Generator:
    """One independent stream a part, so that a part can be made without the others."""
    return np.random.default_rng([seed, 27, stream])


def _ids(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{number:04d}" for number in range(count)])


def _title_table(seed: int, titles: int, releases: float) -> pd.DataFrame:
    """One main subject with most of the weight, up to two beside it; releases are spread evenly over the weeks."""
    rng = _rng(seed, 1)
    weights = np.zeros((titles, len(SUBJECTS)))
    for row in weights:
        chosen = rng.choice(len(SUBJECTS), rng.integers(1, 4), replace=False)
        row[chosen] = np.array([0.6, 0.25, 0.15])[: len(chosen)]
    weights /= weights.sum(axis=1, keepdims=True)
    new = rng.permutation(titles)[: int(releases * titles)]
    day = np.zeros(titles, int)
    day[new] = np.linspace(1, DAYS - 2, len(new)).astype(int)
    table = pd.DataFrame(weights, columns=list(SUBJECTS))
    table.insert(0, "title_id", _ids("t", titles))
    table.insert(1, "release_day", day)
    return table


def _tastes(seed: int, users: int) -> np.ndarray:
    """(users, subjects) subject tastes, each summing to 1."""
    return _rng(seed, 2).dirichlet(np.full(len(SUBJECTS), 0.35), users)


def _user_table(seed: int, users: int) -> pd.DataFrame:
    """The declared subject is one draw from the user's taste: a hint, not the truth."""
    rng = _rng(seed, 4)
    late = rng.random(users) < LATE_USERS
    signup_day = np.where(late, rng.integers(DAYS - LATE_DAYS, DAYS - 3, users), 0)
    ends = _tastes(seed, users).cumsum(axis=1)
    drawn = (rng.random((users, 1)) * ends[:, -1:] > ends).sum(axis=1)
    declared = np.array(SUBJECTS)[drawn]
    return pd.DataFrame({"user_id": _ids("u", users), "signup_day": signup_day, "declared": declared})


def _scores(seed: int, catalogue: pd.DataFrame, users: int, hidden: float) -> np.ndarray:
    """(users, titles) scores without novelty."""
    rng = _rng(seed, 5)
    fame = FAME * rng.normal(size=len(catalogue))
    mood, mood_taste = rng.normal(size=(len(catalogue), MOODS)), rng.normal(size=(users, MOODS))
    subjects = catalogue[list(SUBJECTS)].to_numpy()
    return SUBJECT_PULL * _tastes(seed, users) @ subjects.T + hidden * HIDDEN_PULL * mood_taste @ mood.T + fame


def _play(
    rng: np.random.Generator, score: np.ndarray, catalogue: pd.DataFrame, people: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of user and title and the day of every play; all users take their n-th step together."""
    users = len(score)
    release_day, signup_day = catalogue["release_day"].to_numpy(), people["signup_day"].to_numpy()
    present = np.maximum((DAYS - signup_day) / DAYS, 0.3)
    counts = np.clip(rng.lognormal(3.2, 0.6, users) * present, 4, 120).astype(int)
    days = [np.sort(rng.integers(signup_day[user], DAYS, counts[user])) for user in range(users)]
    left = score.copy()
    found = []
    for step in range(counts.max()):
        active = np.flatnonzero(counts > step)
        day = np.array([days[user][step] for user in active])
        age = day[:, None] - release_day
        fresh = (release_day > 0) * NOVELTY * np.exp(-np.maximum(age, 0) / NOVELTY_DAYS)
        utility = np.where(age >= 0, left[active] + fresh, -np.inf)
        # The largest of score + Gumbel noise is a draw from the softmax of the scores.
        chosen = (utility + rng.gumbel(size=utility.shape)).argmax(axis=1)
        left[active, chosen] = -np.inf
        found.append((active, chosen, day))
    user, title, day = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((title, user, day))
    return user[order], title[order], day[order]
