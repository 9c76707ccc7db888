"""ext4 changed by debugfs in the toolbox."""
