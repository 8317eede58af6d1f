"""What schedules run, and what an operator runs at 2 a.m.; one table lists the jobs."""
