# SPDX-License-Identifier: Apache-2.0
"""Which topic and message type images come by: the raw Image, or a CompressedImage beside it or in its place."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from isaac_inference.ros.messages.image import COMPRESSED_IMAGE, IMAGE
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.topics.topic_graph import full_type_name
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter

_RAW, _COMPRESSED = full_type_name(Image), full_type_name(CompressedImage)
_PATIENCE = 5  # asked so often, half a second: a driver's raw topic may be discovered after its compressed one
# What drivers and image_transport's plugins publish beside the raw topic and no image decoder reads by itself.
_STREAMS = ('ffmpeg', 'theora', 'zstd', 'foxglove')
_DECODERS = {
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket': 'the ffmpeg plugin of image_transport (package '
    'ffmpeg_image_transport) decodes them with the node "republish" of package image_transport, in_transport ffmpeg, '
    'out_transport raw',
}
_ADVICE = 'decode them to an Image topic, and remap image to that'


class Transport(str, Enum):
    """How colour images come."""

    AUTO = 'auto'
    RAW = 'raw'
    COMPRESSED = 'compressed'


class DepthTransport(str, Enum):
    """How depth images come; a compressed one is lossless or of inverse depth, unlike a compressed colour image."""

    AUTO = 'auto'
    RAW = 'raw'
    COMPRESSED = 'compressedDepth'


class ImageSource:
    """A `source` of `PipelineNode.subscribe` that follows what is published.

    AUTO takes Image where somebody publishes it, else CompressedImage from the topic itself, else from the topic
    below it that image_transport's plugin uses. Where nobody publishes anything it stays as it is, at first raw. A
    change is logged; `key` in the node's diagnostics says what is taken.

    Args:
        node: whose input it is.
        topic: of the raw images, relative to the node.
        transport: what the user asks for.
        key: of the diagnostics.
        suffix: of the topic that the plugin uses below `topic`.
        wanted: whether the node wants images at all now; if not, nothing is amiss.
        is_logged: whether what is amiss goes into the log too: of the nodes that take a topic one says it.
    """

    def __init__(
        self,
        node: PipelineNode,
        topic: str,
        transport: Transport | DepthTransport,
        key: str = 'transport',
        suffix: str = 'compressed',
        wanted: Callable[[], bool] = lambda: True,
        is_logged: bool = True,
    ) -> None:
        self._node, self._key, self._mode = node, key, transport.name
        self._wanted, self._is_logged = wanted, is_logged
        self._unreadable = 0  # looks in a row at which there was nothing but what cannot be read
        self._topic, self._below = node.resolve_topic_name(topic), _topic_below(node, topic, suffix)
        self._patience = _PATIENCE
        self._raw: tuple[TypeAdapter[Any], str] = (IMAGE, topic)
        self._itself: tuple[TypeAdapter[Any], str] = (COMPRESSED_IMAGE, topic)
        self._beside: tuple[TypeAdapter[Any], str] = (COMPRESSED_IMAGE, self._below)
        self._now = self._beside if self._mode == 'COMPRESSED' else self._raw
        self._show()

    def __call__(self) -> tuple[TypeAdapter[Any], str]:
        """The adapter and topic to subscribe to now."""
        if self._mode == 'RAW':
            return self._now
        types = self._types(self._topic)
        chosen = self._published(types)
        if chosen is None:
            self._tell_of_streams(types)
        else:
            self._unreadable = 0
            self._node.health.clear(self._key)
            self._take(chosen)
        return self._now

    def _published(self, types: set[str]) -> tuple[TypeAdapter[Any], str] | None:
        """What is published of what may be taken; None where nothing is."""
        if self._mode == 'AUTO' and _RAW in types:
            return self._raw
        if _COMPRESSED in types:
            return self._itself
        if _COMPRESSED in self._types(self._below):
            return self._beside
        return None

    def _take(self, chosen: tuple[TypeAdapter[Any], str]) -> None:
        is_hasty = self._now == self._raw and chosen == self._beside and self._patience > 0
        self._patience = self._patience - 1 if is_hasty else _PATIENCE
        if is_hasty or chosen == self._now:
            return
        why = f'{self._topic} carries Image' if chosen == self._raw else f'nobody publishes Image on {self._topic}'
        self._now = chosen
        self._node.get_logger().info(f'{why}: {self._words()} ({self._key}: {self._mode.lower()})')
        self._show()

    def _words(self) -> str:
        adapter, topic = self._now
        return f'{adapter.name} is taken from {self._node.resolve_topic_name(topic)}'

    def _show(self) -> None:
        name = 'raw' if self._now == self._raw else 'compressed'
        self._node.health.show(self._key, f'{name} ({self._node.resolve_topic_name(self._now[1])})')

    def _types(self, topic: str) -> set[str]:
        if not self._node.count_publishers(topic):
            return set()
        return {info.topic_type for info in self._node.get_publishers_info_by_topic(topic)}

    def _tell_of_streams(self, types: set[str]) -> None:
        """Nothing that can be taken is published; where something else has been for a while, say so."""
        text = self._what_is_amiss(types) if self._wanted() else ''
        self._unreadable = self._unreadable + 1 if text else 0
        if not text:
            self._node.health.clear(self._key)
        elif self._unreadable > _PATIENCE:  # an error says more than the silence that it is too
            self._node.health.problem(self._key, text, error=True, log_again=False, log=self._is_logged)

    def _what_is_amiss(self, types: set[str]) -> str:
        if _RAW in types:  # and it is not to be taken
            return (
                f'{self._key} is {self._mode.lower()}, but {self._topic} carries Image, and nobody publishes '
                f'CompressedImage on {self._below}; set {self._key} to auto or raw'
            )
        streams = {self._topic: types} if types else {}
        streams |= {below: found for name in _STREAMS if (found := self._types(below := f'{self._topic}/{name}'))}
        if not streams:
            return ''
        listed = ', '.join(f'{topic} ({", ".join(sorted(found))})' for topic, found in sorted(streams.items()))
        kinds = {kind for found in streams.values() for kind in found}
        advice = next((text for kind, text in _DECODERS.items() if kind in kinds), _ADVICE)
        return (
            f'no images that this node reads: published are {listed}, expected Image on {self._topic} or '
            f'CompressedImage on {self._below}; {advice}'
        )


def _topic_below(node: PipelineNode, topic: str, suffix: str) -> str:
    """Where the plugin publishes: below what `topic` is remapped to, unless it is remapped itself."""
    name = f'{topic}/{suffix}'
    resolved = node.resolve_topic_name(name)
    is_remapped = resolved != node.resolve_topic_name(name, only_expand=True)
    return resolved if is_remapped else f'{node.resolve_topic_name(topic)}/{suffix}'
