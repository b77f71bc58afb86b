"""Power schedules for the nodes of Huawei Cloud CCE clusters."""
