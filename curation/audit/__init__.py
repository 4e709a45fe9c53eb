"""The audit: pages on loopback where an analyst sees each volume beside its report and gives a verdict."""
