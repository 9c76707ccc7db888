"""The HTTP side: hooks, pages, the API and the routes of the original tool."""
