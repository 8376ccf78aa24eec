"""Figures from gathered predictions."""
