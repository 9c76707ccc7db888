"""The container of tools that are not on every host: mkfs, debugfs, QEMU."""
