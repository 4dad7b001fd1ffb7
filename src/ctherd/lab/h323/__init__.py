"""What of H.323 an exchange of our own says: its ASN.1 types, their encoding, and how they travel.

Only what the lab's calls need is here; the numbers in names are those of ITU-T recommendations.
"""
