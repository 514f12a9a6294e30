"""Step-level continuous batching: many requests on one engine.

`job.py`: what a caller sees, and what an observer is told; `order.py`: a job as the scheduler sees
it, candidates that each need a slot; `group.py`: slots that share a loop and a batch;
`scheduler.py`: slots and groups, and whose turn it is; `engine.py`: the queue, the thread, futures.
"""
