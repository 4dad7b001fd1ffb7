"""The loop that makes desired and live one: observe → diff → record → commit, per netns.

``entry`` is what is known of one netns, ``reconciler`` the loop's body, ``renames`` tells when a
known netns has another name, ``standing`` turns what is known into statuses.
Synchronous; whoever drives it owns the time.
"""
