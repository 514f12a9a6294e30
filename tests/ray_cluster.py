"""A cluster of Ray on this machine's loopback, with as many simulated nodes as a test needs."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What processes of the cluster find in their environment.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "120",
    "RAY_worker_niceness": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONWARNINGS": "ignore",
    # What `worker_process_setup_hook` of a job sets, for all workers.
    "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "ray_loopback.stay_on_loopback",
}
#: The one address whose nodes listen nowhere else; they share it.
LOOPBACK = "127.0.0.1"


def import_ray():
    """Import Ray, or skip; it reads variables when it is imported."""
    # Otherwise Ray replaces 127.0.0.1 by the address at which other machines reach this one.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return pytest.importorskip("ray", reason="needs the extra ray")


@contextmanager
def ray_cluster(*cpus, **environment):
    """Start nodes with so many CPUs each, and connect to them; gives the cluster."""
    before = dict(os.environ)
    here = Path(__file__).parent
    roots = [str(here.parent), str(here), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, roots))
    os.environ |= {**ENVIRONMENT, "PYTHONPATH": path, **environment}
    ray = import_ray()
    from ray.cluster_utils import Cluster

    common = {"node_ip_address": LOOPBACK, "object_store_memory": 80 << 20}
    head = {**common, "num_cpus": cpus[0], "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for count in cpus[1:]:
            cluster.add_node(num_cpus=count, **common)
        cluster.wait_for_nodes()
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
