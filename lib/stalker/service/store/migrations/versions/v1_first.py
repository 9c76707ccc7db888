"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "deliveries",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("delivery", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("received", sa.Float, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("build", sa.String(36), nullable=False),
        sa.UniqueConstraint("project", "delivery", name="one_delivery"),
        sa.UniqueConstraint("project", "digest", name="one_body"),
    )
    op.create_table(
        "builds",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("project", sa.String(64), nullable=False, index=True),
        sa.Column("tree", sa.String(255), nullable=False),
        sa.Column("ref", sa.String(400), nullable=False),
        sa.Column("commit_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("start_from", sa.String(255), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("ended", sa.Float),
        sa.Column("exit_code", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("push", sa.Text, nullable=False),
        sa.Column("tag", sa.String(400), nullable=False),
        sa.Column("base_image", sa.String(400), nullable=False),
        sa.Column("container", sa.String(12), nullable=False),
        sa.Column("console", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("is_cancelled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "files",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("build", sa.String(36), nullable=False, index=True),
        sa.Column("project", sa.String(64), nullable=False, index=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("link", sa.String(255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("build", sa.String(36), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("due", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("error", sa.Text, nullable=False),
    )
