"""The nf_tables dataplane: one table per netns, guarded by the kernel where it can.

``layout`` says what our table looks like, ``render`` turns changes into messages, ``observe``
turns the kernel's answers into an Observation, ``commit`` carries out a transaction (most make a
new table, and are ``fresh``), and ``dataplane`` holds the sockets.
"""
