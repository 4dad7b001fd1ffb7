"""The numbers of nf_tables' operations. Source: linux/netfilter/nf_tables.h."""

from enum import IntEnum


class Operation(IntEnum):
    """enum nf_tables_msg_types."""

    NEWTABLE = 0
    GETTABLE = 1
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    DELCHAIN = 5
    NEWRULE = 6
    GETRULE = 7
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    DELSET = 11
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15
    GETGEN = 16
    NEWOBJ = 18
    GETOBJ = 19
    DELOBJ = 20
    DESTROYTABLE = 26
    DESTROYCHAIN = 27
    DESTROYRULE = 28
    DESTROYSET = 29
    DESTROYSETELEM = 30
    DESTROYOBJ = 31
