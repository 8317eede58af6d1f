"""What only a NAS has: accounts, shared folders, Task Scheduler, the first visit."""
