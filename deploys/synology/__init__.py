"""Only on a Synology NAS: DSM's accounts, shared folders, Task Scheduler, and the first login."""
