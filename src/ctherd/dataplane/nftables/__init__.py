"""The nf_tables dataplane: one table per netns, guarded by the kernel where it can.

``layout`` says what our table looks like, ``render`` turns changes into messages, ``observe``
turns the kernel's answers into an Observation, ``dataplane`` carries both over a transport.
"""
