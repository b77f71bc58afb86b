from huaweicloudsdkecs.v2.region.ecs_region import EcsRegion

from scheduler.cloud.regions import known_endpoint


def test_every_region_of_the_sdk_has_the_endpoint_that_the_sdk_gives_it() -> None:
    for region, known in EcsRegion.static_fields.items():
        assert known.endpoints == [known_endpoint(region)]


def test_a_region_that_the_sdk_does_not_know_is_left_to_it() -> None:
    assert known_endpoint("moon-north-1") is None
