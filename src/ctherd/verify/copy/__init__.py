"""The scratch copy of a router, made tool by tool; what cannot be copied is listed.

``links`` and ``routing`` make its interfaces, addresses and routes, ``sysctls`` its settings,
``nft`` and ``xtables`` its rules, our own table comes by our own codec. ``compare`` reads the copy
back. All of it lives in namespaces without names, which die with this process, however it ends.
"""
