"""Configuration and wiring only: what is built with which options, and nothing that decides."""
