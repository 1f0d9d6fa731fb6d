"""The report's page: figures, tables, and segments to listen to, in one HTML file."""
