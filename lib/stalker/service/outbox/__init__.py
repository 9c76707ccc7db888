"""What leaves the service: commit statuses and notifications, stored first and sent until they arrive."""
