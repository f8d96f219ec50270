# SPDX-License-Identifier: Apache-2.0
"""Deadlines and liveliness: counted per topic, inside a process and between two, and named where they do not fit."""

from __future__ import annotations

import time

import pytest
from rclpy.duration import Duration
from rclpy.qos import QoSLivelinessPolicy, QoSProfile, QoSReliabilityPolicy
from std_msgs.msg import String
from support.ros.topic_ends import REMOTE_RELIABLE, Word, say
from support.waiting import wait_until

from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.timeliness import DeadlineWatch

DEADLINE_S = 0.2
TIMELY = QosParameters(reliability=Reliability.RELIABLE, depth=10, deadline_s=DEADLINE_S)
ALIVE = QosParameters(reliability=Reliability.RELIABLE, depth=10, liveliness_lease_s=0.3)


def remote(**policies):
    return QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE, **policies)


def shown(health, key, topic):
    return health.snapshot().shown.get(f'{key}.{topic}', 0)


class Clock:
    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


class TestDeadlineWatch:
    def watch(self, deadline_s=0.1):
        self.clock = Clock()
        return DeadlineWatch(deadline_s, self.clock)

    def later(self, seconds):
        self.clock.s += seconds

    def test_nothing_is_missed_before_the_first_message(self):
        watch = self.watch()
        self.later(10)
        assert watch.look() == 0
        assert watch.arrived() == 0

    def test_messages_in_time_miss_nothing(self):
        watch = self.watch()
        for _ in range(50):
            assert watch.arrived() == 0
            self.later(0.099)
            assert watch.look() == 0

    def test_each_deadline_that_passes_counts_once_however_often_one_looks(self):
        watch = self.watch()
        watch.arrived()
        counts = []
        for _ in range(10):
            self.later(0.0501)
            counts.append(watch.look())
        assert sum(counts) == 5
        assert set(counts) == {0, 1}
        self.later(0.05)
        assert watch.arrived() == 0, 'the sixth has not passed yet'

    def test_a_late_message_tells_what_no_look_has_seen(self):
        watch = self.watch()
        watch.arrived()
        self.later(0.35)
        assert watch.arrived() == 3
        self.later(0.05)
        assert watch.look() == 0, 'from here on'

    def test_after_a_restart_nothing_is_expected(self):
        watch = self.watch()
        watch.arrived()
        self.later(0.05)
        watch.restart()
        self.later(10)
        assert watch.look() == 0

    def test_without_a_deadline_nothing_is_missed(self):
        watch = self.watch(0.0)
        watch.arrived()
        self.later(1000)
        assert (watch.look(), watch.arrived()) == (0, 0)


@pytest.mark.timing
def test_a_publisher_elsewhere_that_pauses_is_counted_and_a_problem_until_it_goes_on(inbox, far_publisher):
    receiver, sender = inbox(TIMELY), far_publisher(remote(deadline=Duration(seconds=DEADLINE_S)))
    wait_until(receiver.is_remote)
    wait_until(lambda: sender.get_subscription_count() == 1)
    topic = receiver.subscription.topic
    say(sender, 'one')
    wait_until(lambda: shown(receiver.health, 'deadline_missed', topic) >= 3)
    assert f'{topic}: ' in receiver.problems()[0][1]
    assert 'deadlines of 0.2 s missed so far' in receiver.problems()[0][1]
    say(sender, 'two')
    wait_until(lambda: 'two' in receiver.texts and not receiver.problems())
    assert shown(receiver.health, 'deadline_missed', topic) >= 3, 'the count stays'


def test_a_publisher_of_this_process_that_pauses_is_counted_too(inbox, publisher):
    receiver, sender = inbox(TIMELY), publisher(TIMELY)
    topic = receiver.subscription.topic
    sender.publish(Word('one'))
    wait_until(lambda: not receiver.is_remote() and shown(receiver.health, 'deadline_missed', topic) >= 3)
    assert 'deadlines of 0.2 s missed so far' in receiver.problems()[0][1]
    sender.publish(Word('two'))
    wait_until(lambda: 'two' in receiver.texts and not receiver.problems())


def test_a_pause_that_is_over_before_the_next_report_is_in_it(inbox, publisher):
    receiver, sender = inbox(TIMELY), publisher(TIMELY)
    sender.publish(Word('one'))
    time.sleep(1.5 * DEADLINE_S)
    sender.publish(Word('two'))
    assert [is_error for is_error, _ in receiver.problems()] == [False]
    assert receiver.problems() == ()


def test_what_is_not_wanted_is_not_missed(inbox, publisher):
    wanted = [True]
    receiver, sender = inbox(TIMELY, wanted=lambda: wanted[0]), publisher(TIMELY)
    sender.publish(Word('one'))
    wanted[0] = False
    receiver.is_remote()  # as the node's timer does, ten times a second
    time.sleep(2 * DEADLINE_S)
    receiver.is_remote()
    assert receiver.problems() == ()


def test_without_a_deadline_a_pause_is_no_problem(inbox, publisher):
    receiver, sender = inbox(), publisher()
    sender.publish(Word('one'))
    time.sleep(0.1)
    receiver.is_remote()
    assert receiver.problems() == ()
    assert not receiver.health.snapshot().shown


@pytest.mark.timing
def test_our_own_deadline_is_counted_while_somebody_elsewhere_listens(publisher, far_inbox):
    sender = publisher(TIMELY)
    time.sleep(2 * DEADLINE_S)
    assert not shown(sender.health, 'deadline_missed', sender.topic), 'nobody listens'
    far_inbox(REMOTE_RELIABLE)
    wait_until(lambda: sender._writer.get_subscription_count() > 0)
    sender.publish(Word('one'))
    wait_until(lambda: shown(sender.health, 'deadline_missed', sender.topic) >= 2)


def test_a_publisher_that_gives_no_sign_of_life_is_counted_and_named_until_it_does(inbox, far_publisher):
    lease = Duration(seconds=0.3)
    sender = far_publisher(remote(liveliness=QoSLivelinessPolicy.MANUAL_BY_TOPIC, liveliness_lease_duration=lease))
    receiver = inbox(ALIVE)
    wait_until(receiver.is_remote)
    wait_until(lambda: sender.get_subscription_count() == 1)
    topic = receiver.subscription.topic
    say(sender, 'one')
    wait_until(lambda: shown(receiver.health, 'liveliness_lost', topic) >= 1)
    [(is_error, text)] = receiver.problems()
    assert not is_error
    assert '1 of its publishers silent for longer than the liveliness lease of 0.3 s' in text

    def speaks():
        sender.assert_liveliness()
        return not receiver.problems()

    wait_until(speaks)


def test_a_publisher_that_leaves_is_no_hanging_one(inbox, far, topic):
    receiver = inbox(ALIVE)
    lease = Duration(seconds=0.3)
    sender = far.create_publisher(String, topic, remote(liveliness_lease_duration=lease))
    wait_until(receiver.is_remote)
    wait_until(lambda: sender.get_subscription_count() == 1)
    far.destroy_publisher(sender)
    wait_until(lambda: not receiver.is_remote())
    assert receiver.problems() == ()


@pytest.mark.parametrize(
    ('qos', 'policy', 'parameter'),
    [(TIMELY, 'deadline', 'deadline_s'), (ALIVE, 'liveliness', 'liveliness_lease_s')],
)
class TestMismatch:
    def test_a_publisher_elsewhere_that_offers_none_is_named(self, inbox, far_publisher, qos, policy, parameter):
        receiver, _ = inbox(qos), far_publisher(remote())
        wait_until(lambda: receiver.is_remote() and receiver.problems())
        [(is_error, text)] = receiver.problems()
        assert is_error
        assert f'a publisher offers incompatible {policy}' in text
        assert f'"*_qos.{parameter}"' in text

    def test_a_subscriber_elsewhere_that_asks_for_one_is_named(self, publisher, far_inbox, qos, policy, parameter):
        sender = publisher()
        far_inbox(qos.offered())
        wait_until(lambda: sender.health.snapshot().problems)
        [(_, text)] = sender.health.snapshot().problems
        assert f'a subscriber asks for incompatible {policy}' in text
        assert f'"*_qos.{parameter}"' in text

    def test_a_publisher_of_this_process_that_offers_none_is_named(self, inbox, publisher, qos, policy, parameter):
        receiver, _ = inbox(qos), publisher()
        [(is_error, text)] = receiver.problems()
        assert is_error
        assert 'a publisher in this process is not heard' in text
        assert policy in text.lower()
