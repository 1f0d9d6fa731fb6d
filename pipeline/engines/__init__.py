"""Where the items of a stage are worked at: threads, processes, a cluster's machines.

``spread`` takes a function and its calls and gives results as they are done; ``cluster`` is Dask's
and Ray's side of it, ``calls`` what workers run. It knows neither items' names nor locks.
"""
