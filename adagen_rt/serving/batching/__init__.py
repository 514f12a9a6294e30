"""Step-level continuous batching: many requests on one engine.

`job.py`: jobs, images and observers, for callers; `caller.py`: who asks; `order.py`: a job as the
scheduler sees it, candidates that each need a slot; `turns.py` and `queue.py`: who is next of those
that wait; `group.py`: slots that share a loop and a batch; `seats.py`, `shares.py` and
`scheduler.py`: slots, whose step it is, groups and their turns; `ledger.py`: orders until they end;
`worker.py`: the thread; `engine.py`: what callers see; `observers.py`, `warm_up.py` and `last.py`:
its observers, its first run, and its end.
"""
