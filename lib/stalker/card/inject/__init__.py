"""What one machine has of its own, put into an image: accounts, host name, Wi-Fi, files."""
