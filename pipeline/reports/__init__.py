"""What happened: events, status, and the page that tells it."""
