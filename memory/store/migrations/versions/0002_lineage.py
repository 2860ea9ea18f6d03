"""Lineage by parent, counts by namespace, twins, audiences, and a log whose chain outlives erasure."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

from memory.entry import RECALLABLE, digest_of
from memory.errors import StoreError
from memory.store.chain import chained
from memory.store.rows import body_of, lineage_of, links_of, space_of
from memory.types import Item
from memory.words import searchable
from memory.writing.admission import keys_of

revision = "0002"
down_revision = "0001"

PAGE = 1000


def upgrade() -> None:
    """Add what is new, and fill it for what is there. Raises StoreError when the log was tampered with."""
    _check_chain()
    _structure()
    _rehash()
    _fill_items()
    _count()


def _structure() -> None:
    op.add_column("item", sa.Column("audience", sa.String()))
    op.add_column("item", sa.Column("twin", sa.String()))
    op.create_index("ix_item_twin", "item", ["namespace", "twin"])
    op.create_index("ix_item_page", "item", ["namespace", "key"])
    for name in ("before_digest", "after_digest"):
        op.add_column("log", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_table(
        "link",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("namespace", "kind", "parent", "item")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_link_item", "link", ["namespace", "item"])
    op.create_table(
        "tally",
        sa.Column("namespace", sa.String(), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("items", "living", "episodes")),
    )


def _check_chain() -> None:
    """New hashes would hide what the old ones give away."""
    previous, expected = "", 1
    for row in _pages("log", "seq"):
        columns = ("seq", "at", "namespace", "principal", "op", "item", "version", "before", "after")
        text = json.dumps([previous, *(row[name] for name in columns)], ensure_ascii=False)
        if row["seq"] != expected or row["hash"] != sha256(text.encode()).hexdigest():
            raise StoreError(
                f"the log was changed at or before seq {expected}: the file is left as it is; restore a "
                "backup, or open it with the release that wrote it"
            )
        previous, expected = row["hash"], expected + 1


def _rehash() -> None:
    change = sa.text(
        "UPDATE log SET before_digest = :before_digest, after_digest = :after_digest, hash = :hash "
        "WHERE seq = :seq"
    )
    previous = ""
    for row in _pages("log", "seq"):
        digests = {f"{name}_digest": digest_of(row[name]) for name in ("before", "after")}
        previous = chained(previous, row | digests)
        op.get_bind().execute(change, {**digests, "hash": previous, "seq": row["seq"]})


def _fill_items() -> None:
    change = sa.text("UPDATE item SET twin = :twin WHERE key = :key")
    link = sa.text(
        "INSERT INTO link (namespace, kind, parent, item) VALUES (:namespace, :kind, :parent, :item)"
    )
    words = sa.text("INSERT INTO item_fts (rowid, space, words) VALUES (:key, :space, :words)")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM item_fts")
    for row in _pages("item", "key"):
        item = _item_of(row)
        op.get_bind().execute(change, {"twin": keys_of(item, row["body"]).twin, "key": row["key"]})
        # No other database has rows of the first release, whose words were not stemmed.
        found = {"key": row["key"], "space": space_of(item.namespace), "words": searchable(item.text)}
        op.get_bind().execute(words, found)
        for values in links_of(item):
            op.get_bind().execute(link, values)


def _count() -> None:
    living = ", ".join(f"'{status}'" for status in sorted(RECALLABLE))
    op.execute(
        "INSERT INTO tally (namespace, items, living, episodes) "
        "SELECT namespace, sum(items), sum(living), sum(episodes) FROM ("
        f"SELECT namespace, 1 AS items, CASE WHEN status IN ({living}) THEN 1 ELSE 0 END AS living, "
        "0 AS episodes FROM item "
        "UNION ALL SELECT namespace, 0, 0, 1 FROM episode) AS counted GROUP BY namespace"
    )


def _item_of(row: dict[str, Any]) -> Item:
    """What the first release kept of an item, as far as its twins and parents go."""
    named = {
        name: row[name]
        for name in (
            *("id", "namespace", "kind", "scope", "family", "text", "outcome", "status", "version"),
            *("channel", "trust", "author", "created_at", "updated_at", "valid_from"),
        )
    }
    return Item(**named, body=body_of(row["kind"], row["body"]), lineage=lineage_of(row["lineage"]))


def _pages(table: str, key: str) -> Iterator[dict[str, Any]]:
    """Rows of a table by rising key, few at a time: an update may follow each."""
    after = 0
    query = sa.text(f"SELECT * FROM {table} WHERE {key} > :after ORDER BY {key} LIMIT {PAGE}")
    while rows := op.get_bind().execute(query, {"after": after}).mappings().all():
        yield from (dict(row) for row in rows)
        after = rows[-1][key]
