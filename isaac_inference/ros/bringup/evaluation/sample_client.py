# SPDX-License-Identifier: Apache-2.0
"""A node that shows a graph the samples of an evaluation."""

from __future__ import annotations

from typing import Any

from isaac_inference.ros.bringup.clients.feeder import Feeder, FeedTopics


class SampleClient(Feeder):
    """Samples in, answers out."""

    def __init__(self, node_name: str = 'sample_client', **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)

    @classmethod
    def start(cls, namespace: str, topics: FeedTopics, *, context: Any = None) -> SampleClient:
        """Make the client in `namespace`, spin it in its own thread, and activate it."""
        client = cls(namespace=namespace, context=context)
        client.run_with(topics)
        return client
