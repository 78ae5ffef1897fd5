"""Records to one HTML page that needs no network: charts with their tables, filters, a case in full, the history."""
