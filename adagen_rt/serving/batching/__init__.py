"""Step-level continuous batching: many requests on one engine.

`job.py`: jobs, images and observers, for callers; `order.py`: a job as the scheduler sees it,
candidates that each need a slot; `group.py`: slots that share a loop and a batch; `scheduler.py`:
slots, groups and their turns; `engine.py`: the queue, the thread, futures.
"""
