"""What keeps an artifact from being published: passwords, credentials, setuid files."""
