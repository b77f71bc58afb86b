from huaweicloudsdkcce.v3.region.cce_region import CceRegion
from huaweicloudsdkecs.v2.region.ecs_region import EcsRegion

from scheduler.cloud.regions import known_cce_endpoint, known_endpoint


def test_every_region_of_the_sdk_has_the_endpoint_that_the_sdk_gives_it() -> None:
    for region, known in EcsRegion.static_fields.items():
        assert known.endpoints == [known_endpoint(region)]


def test_a_region_has_the_cce_endpoint_that_the_sdk_gives_it_or_is_left_to_the_sdk() -> None:
    known = {region: found.endpoints for region, found in CceRegion.static_fields.items()}
    ours = {region: [known_cce_endpoint(region)] for region in {*known, *EcsRegion.static_fields}}
    assert {region: found for region, found in ours.items() if found != [None]}.items() <= known.items()
    assert {region for region, found in ours.items() if found == [None]} == {
        *("ru-northwest-2", "cn-southwest-3", "eu-west-101")
    }


def test_a_region_that_the_sdk_does_not_know_is_left_to_it() -> None:
    assert known_endpoint("moon-north-1") is None
    assert known_cce_endpoint("moon-north-1") is None
