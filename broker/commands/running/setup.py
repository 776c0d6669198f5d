"""``tongban setup``: topics, databases and the broker's own keys. Safe to repeat."""

from __future__ import annotations

from broker.commands.common import console, load_settings, print_json, run
from broker.commands.options import AsJson, ConfigFile
from broker.keys import create_missing_keys, load_keys
from broker.log.admin.topics import ensure_topics
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.wiring import open_vault


def setup(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Make what is missing: the broker's keys, the databases, the topics. What exists is left as it is."""
    settings = load_settings(config)
    made = {"keys": create_missing_keys(settings.keys), **run(make_missing(settings))}
    if as_json:
        print_json(made)
        return
    console.print(f"keys: {', '.join(made['keys']) or 'there'}")
    console.print("databases: ready")
    console.print(f"topics: {', '.join(made['topics']) or 'there'}")


async def make_missing(settings: Settings) -> dict[str, list[str]]:
    """Databases and topics, where they are not there; returns the topics that were made."""
    store = await Store.open(settings.store.url)
    vault = await open_vault(settings, load_keys(settings.keys))
    try:
        return {"topics": await ensure_topics(settings.kafka, ())}
    finally:
        await vault.close()
        await store.close()
