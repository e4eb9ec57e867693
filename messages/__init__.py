"""What crosses Temporal: frozen payloads, the activities' signatures, and the names of queues, ids and failures."""
