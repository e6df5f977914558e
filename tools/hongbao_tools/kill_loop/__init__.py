"""tools/kill_loop: the plan of the kills, the loop, and the proof."""
