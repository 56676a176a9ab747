"""Whether two SQL queries ask the same: by their form, and by what they return on data made up for them."""
