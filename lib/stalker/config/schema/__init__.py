"""What each file may hold: the declarations, and the JSON Schema made from them."""
