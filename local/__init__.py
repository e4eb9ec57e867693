"""The one-command start: embedded PostgreSQL, Temporal, the Stripe stand-in, worker and API under a supervisor.

Everything here runs on the developer's machine only. The parts are started as processes and never imported.
"""
