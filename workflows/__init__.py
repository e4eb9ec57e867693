"""Orchestration only: a workflow sees messages/ and nothing else of ours."""
