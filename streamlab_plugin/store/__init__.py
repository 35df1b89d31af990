"""Tables, migrations, bulk writer and queries: the only room that talks SQL."""
