"""Tables of the database. A change here needs a module in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

deliveries = Table(
    "deliveries",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("project", String(64), nullable=False),
    Column("delivery", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("event", String(64), nullable=False),
    Column("received", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("build", String(36), nullable=False, default=""),
    UniqueConstraint("project", "delivery", name="one_delivery"),
    UniqueConstraint("project", "digest", name="one_body"),
)
"""Pushes as they came, signed. `delivery` is the forge's id, the digest of the body where it sends none."""

builds = Table(
    "builds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("project", String(64), nullable=False, index=True),
    Column("tree", String(255), nullable=False),
    Column("ref", String(400), nullable=False),
    Column("commit_id", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("cause", Text, nullable=False),
    Column("start_from", String(255), nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("exit_code", Integer),
    Column("error", Text, nullable=False),
    Column("push", Text, nullable=False),
    Column("tag", String(400), nullable=False),
    Column("base_image", String(400), nullable=False),
    Column("container", String(12), nullable=False),
    Column("console", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("is_cancelled", Boolean, nullable=False),
)
"""`push` is JSON: pusher, commits, url. `attempts` counts starts: a build that was interrupted has several. `console` is JSON: its last lines."""

files = Table(
    "files",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("build", String(36), nullable=False, index=True),
    Column("project", String(64), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("link", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created", Float, nullable=False),
)
"""Published files: `name` in the directory of the project in the storage."""

messages = Table(
    "messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("build", String(36), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("error", Text, nullable=False),
)
"""Commit statuses and notifications to send; `content` is JSON. State is waiting, sent or failed."""
