"""The parts of one running stand-in, put together."""

from stripe_sandbox.behaviour import BehaviourControl
from stripe_sandbox.clock import Clock
from stripe_sandbox.config import SandboxConfig
from stripe_sandbox.database import Database
from stripe_sandbox.objects import Objects
from stripe_sandbox.outbox import Outbox
from stripe_sandbox.records import IdempotencyRecords, RequestLog
from stripe_sandbox.webhooks import Deliverer


class Sandbox:
    """Everything that requests and test controls work with, over one file.

    Raises:
        database.WrongVersion: the data folder belongs to another version.
        ValueError: the webhook address is none.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.database = Database(config.data_dir)
        self.clock = Clock(self.database)
        self.behaviour = BehaviourControl(self.database)
        self.objects = Objects(self.database)
        self.outbox = Outbox(self.database, self.clock, self.behaviour, config.api_version)
        self.answers = IdempotencyRecords(self.database, self.clock)
        self.requests = RequestLog(self.database)
        self.deliverer = Deliverer(self.outbox, self.behaviour, config.webhook_url, config.webhook_secret)
