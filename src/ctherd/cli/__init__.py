"""The command line. Modules are imported when a command needs them: `--help` must be quick."""
