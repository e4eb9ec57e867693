"""The pure rules: no clock, no database, no vendor. Whatever depends on time takes ``now`` as an argument."""
