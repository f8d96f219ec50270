# SPDX-License-Identifier: Apache-2.0
"""Topics inside one process: by reference, nothing serialised, mismatches reported."""

from __future__ import annotations

import pytest
from std_msgs.msg import String
from support.ros.topic_ends import BEST_EFFORT, LOCAL_WORD, RELIABLE, Word, word_from_message, written
from support.waiting import wait_until

from isaac_inference.ros.runtime.topics.qos import LATCHED
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain


def test_an_item_is_handed_over_by_reference(inbox, publisher):
    first, second, sender = inbox(), inbox(), publisher()
    word = Word('hello')
    sender.publish(word)
    wait_until(lambda: first.items and second.items)
    assert first.items[0] is word
    assert second.items[0] is word


def test_nothing_is_converted_or_written_while_nobody_outside_listens(inbox, publisher):
    adapter = TypeAdapter('Word', String, lambda word: pytest.fail('converted'), word_from_message)
    receiver, sender = inbox(adapter=adapter), publisher(adapter=adapter)
    messages = written(sender)
    for _ in range(5):
        sender.publish(Word('hello'))
    wait_until(lambda: len(receiver.items) == 5)
    assert messages == []
    assert not receiver.is_remote()


def test_a_publisher_knows_whether_it_is_wanted(inbox, publisher):
    sender = publisher()
    assert not sender.wanted
    receiver = inbox()
    assert sender.wanted
    receiver.close()
    assert not sender.wanted


def test_another_type_inside_the_process_is_reported(inbox, publisher):
    receiver, sender = inbox(), publisher(adapter=plain(String))
    sender.publish(String(data='hello'))
    [(is_error, text)] = receiver.problems()
    assert is_error
    assert f'{sender.topic}: a publisher in this process is not heard: its type is String, expected Word' in text
    assert receiver.items == []


def test_incompatible_qos_inside_the_process_is_reported(inbox, publisher):
    receiver, sender = inbox(RELIABLE), publisher(BEST_EFFORT)
    sender.publish(Word('hello'))
    [(is_error, text)] = receiver.problems()
    assert is_error
    assert f'{sender.topic}: a publisher in this process is not heard' in text
    assert 'reliab' in text.lower()
    assert receiver.items == []


def test_a_type_without_messages_works_inside_the_process(inbox, publisher):
    receiver, sender = inbox(adapter=LOCAL_WORD), publisher(adapter=LOCAL_WORD)
    word = Word('hello')
    sender.publish(word)
    wait_until(lambda: receiver.items == [word])
    assert not receiver.is_remote()


def test_a_closed_subscription_hears_nothing(inbox, publisher):
    receiver, stays, sender = inbox(), inbox(), publisher()
    receiver.close()
    sender.publish(Word('hello'))
    wait_until(lambda: stays.items)
    assert receiver.items == []


def test_a_late_local_subscriber_gets_the_latched_item_and_only_the_last(inbox, publisher):
    sender = publisher(LATCHED)
    sender.publish(Word('old'))
    word = Word('new')
    sender.publish(word)
    receiver = inbox(LATCHED)
    last = Word('last')
    sender.publish(last)
    wait_until(lambda: last in receiver.items)
    assert receiver.items == [word, last]


def test_a_topic_that_is_not_latched_keeps_nothing(inbox, publisher):
    sender = publisher(RELIABLE)
    sender.publish(Word('old'))
    receiver = inbox(RELIABLE)
    sender.publish(Word('new'))
    wait_until(lambda: receiver.items)
    assert receiver.texts == ['new']
    assert sender.retained() is None


def test_a_publisher_knows_whether_items_on_a_gpu_are_wanted(inbox, publisher):
    sender = publisher()
    receiver = inbox()
    assert not sender.wanted_on_device
    receiver.close()
    device = inbox(on_device=True)
    assert sender.wanted_on_device
    device.close()


def test_what_a_receiver_has_no_use_for_is_neither_wanted_nor_handed_over(inbox, publisher):
    use = [False]
    receiver, sender = inbox(wanted=lambda: use[0]), publisher()
    assert not sender.wanted
    sender.publish(Word('unseen'))
    use[0] = True
    assert sender.wanted
    sender.publish(Word('seen'))
    wait_until(lambda: receiver.items)
    assert receiver.texts == ['seen']


def test_what_is_latched_reaches_a_receiver_that_may_want_it_later(inbox, publisher):
    receiver, sender = inbox(LATCHED, wanted=lambda: False), publisher(LATCHED)
    sender.publish(Word('kept'))
    wait_until(lambda: receiver.items)
    assert receiver.texts == ['kept']
