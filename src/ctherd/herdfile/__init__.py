"""From the text of herd.yaml to documents: YAML with positions, schema, meaning; no network."""
