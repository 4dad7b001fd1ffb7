"""What makes assignments true in the kernel, and what reads how they fare there."""
