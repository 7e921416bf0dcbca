"""Subscribers of the documentation, run as it shows them, and what is sent to them."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import rclpy
from command_line import read_line


@contextmanager
def run_subscriber(code, number):
    """Run code as a process in a ROS domain of its own; yield it, and a node that sends to it."""
    context = rclpy.Context()
    context.init(domain_id=number)
    node = rclpy.create_node('sender', context=context)
    process = subprocess.Popen(
        [sys.executable, '-u', '-c', code],
        env=os.environ | {'ROS_DOMAIN_ID': str(number)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, node
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        context.try_shutdown()


def wait_for_subscription(process, publisher, meanwhile=lambda: None):
    """Wait until the process subscribes, and call `meanwhile` again and again."""
    deadline = time.monotonic() + 60
    while not publisher.get_subscription_count():
        assert process.poll() is None, 'the subscriber ended'
        assert time.monotonic() < deadline, 'nobody subscribed'
        meanwhile()
        time.sleep(0.05)


def send_until_it_prints(process, publisher, messages):
    """Return the first line that the process prints while messages are sent to it.

    Again and again: the subscriber may see the publisher later than it is seen.
    """
    with ThreadPoolExecutor() as executor:
        line = executor.submit(read_line, process, process.stdout)
        while not line.done():
            for message in messages:
                publisher.publish(message)
            time.sleep(0.1)
    return line.result()
