"""Closed forms: what the estimators and the training must agree with."""
