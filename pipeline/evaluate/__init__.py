"""Evaluation of settled traces: which are chosen, what is asked of them, and the scores that come back as events."""
