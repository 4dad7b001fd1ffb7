"""The ground floor: frozen values that every other room speaks in. No I/O of any kind."""
