"""Documents on paper: plain descriptions of pages and plots, and the two files that draw them."""
