"""Request/response HTTP for operators and pages, on Quart."""
