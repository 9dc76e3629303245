"""Learners and trainers: so far, a learner's own copy of a lab."""
