"""Objectives and the verdict. Pure."""
