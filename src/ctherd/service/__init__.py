"""The use cases of one host: plan, apply, show, confirm; the same beside an agent and inside it."""
