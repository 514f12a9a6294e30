from adagen_rt.lru import LruCache


def test_the_least_recently_used_one_gives_way_before_a_new_one_is_made():
    told = []
    cache = LruCache(2, lambda value: told.append(f"drop {value}"))
    for key in ("a", "b", "a", "c", "b"):
        assert cache.fetch(key, lambda key=key: told.append(f"make {key}") or key) == key
    assert told == ["make a", "make b", "drop b", "make c", "drop a", "make b"]
    cache.clear()
    assert not cache
    assert sorted(told[-2:]) == ["drop b", "drop c"]
