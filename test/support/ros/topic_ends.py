# SPDX-License-Identifier: Apache-2.0
"""The two ends of a topic, for tests: what is sent, an inbox that keeps it, and qualities of service."""

from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from std_msgs.msg import String

from isaac_inference.errors import FrameError
from isaac_inference.ros.runtime.health.health import Health
from isaac_inference.ros.runtime.topics.mailbox import Mailbox, Worker
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.subscription import Subscription
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter
from support.waiting import wait_until

RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=50)
BEST_EFFORT = QosParameters(reliability=Reliability.BEST_EFFORT)
REMOTE_RELIABLE = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.RELIABLE)
REMOTE_BEST_EFFORT = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT)
REMOTE_LATCHED = QoSProfile(
    depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
)


class Word:
    """The in-process form of a String; one that says 'bad' can't be read from the wire."""

    def __init__(self, text):
        self.text = text


def word_from_message(message):
    if message.data == 'bad':
        raise FrameError('bad_word', 'a word cannot be bad')
    return Word(message.data)


WORD = TypeAdapter('Word', String, lambda word: String(data=word.text), word_from_message)
LOCAL_WORD = TypeAdapter('LocalWord', None, None, None)


class Inbox:
    """A subscription with its worker and all that arrived."""

    def __init__(self, node, topic, qos, adapter, on_device=False, wanted=lambda: True):
        self.items = []
        self.health = Health(lambda is_error, text: None)
        self._worker = Worker('inbox')
        mailbox = Mailbox(self._worker, lambda item, arrived_ns: self.items.append(item), 100)
        self.subscription = Subscription(node, adapter, topic, qos, mailbox, self.health, wanted, on_device)
        self._worker.start()

    @property
    def texts(self):
        return [item.text for item in self.items]

    def is_remote(self):
        """Whether the DDS reader is open after another look at the graph."""
        self.subscription.check_remote()
        return self.subscription.remote

    def problems(self):
        return self.health.snapshot().problems

    def close(self):
        """Leave the topic; safe to call twice."""
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()
            self._worker.stop()


def say(publisher, *texts):
    """Publish texts with a plain publisher."""
    for text in texts:
        publisher.publish(String(data=text))


def hears(receiver, sender, text):
    """Says `text` with a plain publisher until an inbox has it."""
    wait_until(lambda: say(sender, text) or text in receiver.texts)


def written(publisher):
    """Spies on a publisher's DDS writer: the list of what it writes from now on."""
    messages, publish = [], publisher._writer.publish

    def record(message):
        messages.append(message)
        publish(message)

    publisher._writer.publish = record
    return messages
