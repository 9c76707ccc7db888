"""FAT12, FAT16 and FAT32: boot sector, table, names, directories."""
