"""A cloud to try schedules on: Huawei's ECS, CCE and FunctionGraph in memory, on a loopback socket, with scripted time.

The real SDK talks to it, signatures included, so what works here works for the reasons it will work there::

    cloud = SimulatedCloud(datetime(2026, 12, 1, tzinfo=timezone.utc))
    cloud.add_server("dev-1", cluster_id="3f1c9d2e-0000-4000-8000-000000000000")
    with serve(cloud) as endpoint:
        ...  # an EcsClient with this endpoint and SIMULATED_AK / SIMULATED_SK
        cloud.advance_to(cloud.now + timedelta(minutes=5))
"""

from scheduler.simulated.cloud import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud
from scheduler.simulated.http import serve
from scheduler.simulated.servers import SimulatedServer

__all__ = ["SIMULATED_AK", "SIMULATED_PROJECT", "SIMULATED_SK", "SimulatedCloud", "SimulatedServer", "serve"]
