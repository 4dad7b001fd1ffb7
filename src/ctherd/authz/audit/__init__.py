"""The audit: every mutation and denial, in chains that show where somebody cut or edited them."""
