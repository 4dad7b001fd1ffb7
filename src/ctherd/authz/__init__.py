"""Who asks, and what they may: identities, policy, quota, and the audit of every decision."""
