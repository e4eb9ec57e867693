"""The console script `grantflow`: the API's commands of `client.cli`, and those that own the local stack."""

import os
import sys
from collections.abc import MutableMapping, Sequence

from client.cli import app
from local import screen
from local.commands import LOCAL_COMMANDS, add_commands, data_dir_of
from local.errors import LocalError
from local.state import find_running

API_URL_VARIABLE, ADMIN_TOKEN_VARIABLE = "GRANTFLOW_API_URL", "GRANTFLOW_ADMIN_TOKEN"


def main() -> None:
    """Run the command line."""
    add_commands(app)
    try:
        point_at_running_stack(sys.argv[1:], os.environ)
    except LocalError as no:
        screen.err.print(str(no), style="red", soft_wrap=True, markup=False, highlight=False)
        sys.exit(no.exit_code)
    app()


def point_at_running_stack(arguments: Sequence[str], environment: MutableMapping[str, str]) -> None:
    """Let the API's commands find the stack that runs here, unless the person has named another.

    The client knows nothing of the local stack: it is told by its own variables. A token of this machine is never sent
    to a server that the person named, and the commands that own the stack go by what the person has set alone.

    Args:
        arguments: the command line's, without the program.
        environment: what is changed.
    """
    if environment.get(API_URL_VARIABLE) or not LOCAL_COMMANDS.isdisjoint(arguments[:1]):
        return
    running = find_running(data_dir_of(environment))
    if running is not None:
        environment[API_URL_VARIABLE] = running.api_url
        environment[ADMIN_TOKEN_VARIABLE] = environment.get(ADMIN_TOKEN_VARIABLE) or running.admin_token


if __name__ == "__main__":
    main()
