"""What the environment says: unset is embedded, and a wrong value is one clear line."""

import pytest

from local.environment import problems_of, read_environment
from local.errors import WrongConfiguration


def test_with_nothing_set_everything_is_embedded() -> None:
    chosen = read_environment({"GRANTFLOW_DATABASE_URL": ""})
    assert (chosen.embeds_postgres, chosen.embeds_temporal, chosen.embeds_stripe) == (True, True, True)
    assert chosen.has_test_clock


def test_what_is_set_is_elsewhere_and_the_clock_is_then_nobodys_to_move() -> None:
    chosen = read_environment(
        {
            "GRANTFLOW_DATABASE_URL": "postgresql://somebody@db/grantflow",
            "TEMPORAL_ADDRESS": "temporal:7233",
            "STRIPE_SECRET_KEY": "sk_test_1",
            "STRIPE_WEBHOOK_SECRET": "whsec_1",
        }
    )
    assert (chosen.embeds_postgres, chosen.embeds_temporal, chosen.embeds_stripe) == (False, False, False)
    assert not chosen.has_test_clock


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GRANTFLOW_DATABASE_URL", "mysql://db"),
        ("GRANTFLOW_MIGRATIONS_DATABASE_URL", "postgresql://owner@db/grantflow"),
        ("TEMPORAL_ADDRESS", "temporal"),
        ("TEMPORAL_ADDRESS", "temporal:seven"),
        ("STRIPE_SECRET_KEY", "pk_test_1"),
        ("STRIPE_API_BASE", "ftp://stripe"),
        ("GRANTFLOW_ADMIN_TOKEN", "short"),
        ("API_KEY_ENCRYPTION_SECRET", "31 bytes, which is one too few."),
        ("GRANTFLOW_PORT", "0"),
        ("GRANTFLOW_PORT", "65536"),
        ("GRANTFLOW_PORT", "http"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_variable(variable: str, value: str) -> None:
    (line,) = problems_of({variable: value})
    assert line.startswith(f"{variable}: ")
    with pytest.raises(WrongConfiguration, match=variable):
        read_environment({variable: value})


def test_a_stripe_key_needs_the_secret_of_its_webhooks() -> None:
    (line,) = problems_of({"STRIPE_SECRET_KEY": "sk_test_1"})
    assert line.startswith("STRIPE_WEBHOOK_SECRET: ")
