"""Report: from run folders to figures and one page."""
