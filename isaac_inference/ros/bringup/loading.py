# SPDX-License-Identifier: Apache-2.0
"""Loading nodes into a container that somebody else runs.

launch_ros waits in silence for a container that is not there, and for ever for the answer of one that has died.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from composition_interfaces.srv import LoadNode
from rclpy.client import Client
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node

LOAD_SERVICE = '/_container/load_node'
_POLL_S = 0.2


class Loading:
    """Loads into one container, which may start late, die and start again; says why nothing happens.

    Args:
        container: its full name.
        node: is spun by somebody else.
        client: of the container's load service.
        logger: with `info` and `error`.
        is_over: whether to give up.
        patience_s: after how long without a container, and then how often, that is said.
        answer_s: after how long without an answer a node is asked for again; a container that has just started
            imports for some seconds.
    """

    def __init__(
        self,
        container: str,
        node: Node,
        client: Client,
        logger: Any,
        is_over: Callable[[], bool],
        *,
        patience_s: float = 5.0,
        answer_s: float = 30.0,
    ) -> None:
        self._container, self._node, self._client, self._logger = container, node, client, logger
        self._is_over, self._patience_s, self._answer_s = is_over, patience_s, answer_s

    def load(self, requests: Iterable[LoadNode.Request]) -> None:
        """Load the nodes, one after the other; returns when all are loaded or refused, or at the end."""
        with contextlib.suppress(InvalidHandle):  # at the end the node may go before this thread
            for request in requests:
                self._load(request)

    def _load(self, request: LoadNode.Request) -> None:
        for attempt in range(1_000_000):
            self._wait_for_container()
            if self._is_over():
                return
            response = self._ask(request)
            if response is None:
                continue
            if response.success:
                self._logger.info(f'loaded {response.full_node_name} into {self._container}')
            elif (
                not attempt or 'already loaded' not in response.error_message
            ):  # else the answer was lost, not the node
                self._logger.error(f'{self._container} refused {request.plugin_name}: {response.error_message}')
            return

    def _ask(self, request: LoadNode.Request) -> LoadNode.Response | None:
        answered, end = threading.Event(), time.monotonic() + self._answer_s
        future = self._client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        while not answered.wait(_POLL_S):
            if self._is_over() or time.monotonic() > end:
                self._client.remove_pending_request(future)
                return None
        return future.result()

    def _wait_for_container(self) -> None:
        next_s = time.monotonic() + self._patience_s
        while not self._client.service_is_ready() and not self._is_over():
            if time.monotonic() >= next_s:
                next_s += 6 * self._patience_s
                services = [name for name, _ in self._node.get_service_names_and_types()]
                found = [name.removesuffix(LOAD_SERVICE) for name in services if name.endswith(LOAD_SERVICE)]
                others = [name for name in found if name != self._container]  # that one is this client's
                self._logger.error(
                    f'attach: no container {self._container}, so nothing is loaded; running containers: '
                    f'{", ".join(others) or "none"}. Start it, or give the full name of another one with '
                    'container:=/namespace/name; still waiting'
                )
            time.sleep(_POLL_S)
