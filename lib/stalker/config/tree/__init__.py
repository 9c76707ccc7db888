"""Tree files and stalk files."""
