import json

from fake_clips import fake_clip

from microexpr_ros.synthesis.dataset.clip import ARRAYS, ClipMetadata
from microexpr_ros.synthesis.dataset.recipe import Recipe


def test_metadata_survive_json_and_leave_the_arrays_out():
    clip = fake_clip(Recipe(seed=3), 5)
    content = json.loads(json.dumps(clip.metadata.to_json()))
    assert content == json.loads(json.dumps(clip.to_json()))
    assert ClipMetadata.from_json(content) == clip.metadata
    assert ClipMetadata.from_json({**content, 'shard': 'shard-00000.npz'}) == clip.metadata
    assert set(content).isdisjoint(ARRAYS)


def test_the_keys_of_metadata_are_written_in_the_order_of_before():
    """Another order would change the bytes of a shard, and so its checksum."""
    assert list(fake_clip(Recipe(), 0).to_json()) == [
        *('pixels_per_cell', 'dominant', 'onset_ns', 'apex_ns', 'offset_ns', 'amplitude'),
        *('identity', 'skin', 'light', 'sensor', 'seed', 'index', 'distractors'),
    ]
