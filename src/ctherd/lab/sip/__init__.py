"""What of SIP an exchange of our own says: messages, descriptions, and their frame."""
