"""Records to a document: five tables, their footnotes, plots, and the sections behind them. Needs no torch."""
