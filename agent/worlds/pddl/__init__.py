"""Planning problems as a world: gripper, blocksworld, barman, tyreworld."""
