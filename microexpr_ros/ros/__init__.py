"""The ROS 2 side; the only floor that knows ROS."""
