"""The planted truth of the documentary plays can be recovered from them, and its switches remove it."""

import numpy as np
import pandas as pd
import pytest
from labkit.catalog.datasets import load_dataset

NAME = "documentary-plays"


def parts(seed: int = 11, **switches: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    plays = load_dataset(NAME, seed=seed, part="plays", **switches)
    titles = load_dataset(NAME, seed=seed, part="titles", releases=switches.get("releases", 0.4))
    return plays, titles, load_dataset(NAME, seed=seed, part="users")


def test_the_tables_belong_together() -> None:
    plays, titles, users = parts()
    joined = plays.merge(titles, on="title_id", validate="m:1").merge(users, on="user_id", validate="m:1")
    assert len(joined) == len(plays) > 25_000
    assert (joined["day"] >= joined["release_day"]).all(), "nobody plays a title before its release"
    assert (joined["day"] >= joined["signup_day"]).all(), "nobody plays before the sign-up"
    assert not plays.duplicated(["user_id", "title_id"]).any()
    assert np.allclose(titles.drop(columns=["title_id", "release_day"]).sum(axis=1), 1)


def test_the_same_seed_gives_the_same_rows() -> None:
    first, again, other = (load_dataset(NAME, seed=seed) for seed in (4, 4, 5))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_plays_follow_the_planted_scores() -> None:
    """For titles that are out all the time, log odds of a play rise with the score, one for one at the low end."""
    plays, titles, users = parts()
    truth = load_dataset(NAME, seed=11, part="truth")
    old = titles.loc[titles["release_day"] == 0, "title_id"]
    pairs = truth[truth["title_id"].isin(old) & truth["user_id"].isin(users.loc[users["signup_day"] == 0, "user_id"])]
    pairs = pairs.merge(plays, on=["user_id", "title_id"], how="left")
    # Within a user the softmax's denominator is the same, so scores are compared with the user's own mean.
    relative = pairs["score"] - pairs.groupby("user_id")["score"].transform("mean")
    rate = pairs["day"].notna().groupby(relative.round()).mean()
    slopes = np.diff(np.log(rate[[-1.0, 0.0, 1.0, 2.0]]))
    assert np.all((slopes > 0.5) & (slopes < 1.2)), slopes


def late_share(releases: float) -> float:
    plays, titles, _ = parts(releases=releases)
    late = plays[plays["day"] >= 70].merge(titles, on="title_id")
    return float((late["release_day"] >= 70).mean())


def test_new_releases_take_their_share_and_can_be_switched_off() -> None:
    assert 0.06 < late_share(0.4) < 0.3
    assert late_share(0.0) == 0


def unexplained(hidden: float) -> float:
    """Correlation of two titles' sets of players beyond what subjects say: pairs without a subject in common."""
    plays, titles, _ = parts(hidden=hidden, releases=0.0)
    matrix = pd.crosstab(plays["user_id"], plays["title_id"]).reindex(columns=titles["title_id"], fill_value=0)
    famous = matrix.sum() > 60
    subjects = titles.loc[famous.to_numpy()].drop(columns=["title_id", "release_day"]).to_numpy()
    correlation = np.corrcoef(matrix.loc[:, famous].to_numpy().T)
    apart = (subjects @ subjects.T == 0) & ~np.eye(len(subjects), dtype=bool)
    return float(correlation[apart].std())


def test_the_mood_binds_titles_that_share_no_subject() -> None:
    assert unexplained(1.0) > 1.25 * unexplained(0.0)


def test_the_declared_subject_is_a_hint() -> None:
    plays, titles, users = parts()
    long = titles.drop(columns="release_day").melt("title_id", var_name="declared", value_name="weight")
    played = plays.merge(users, on="user_id").merge(long, on=["title_id", "declared"])["weight"].mean()
    # A declaration by chance would meet a title's weight of 1/12 on average; one that tells all would meet about 0.4.
    assert 1.4 / 12 < played < 0.3


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match="ratings"):
        load_dataset(NAME, seed=1, part="ratings")
