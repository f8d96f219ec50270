# SPDX-License-Identifier: Apache-2.0
"""People who walk about a room, with true joints: everything follows from a seed and the time."""

from isaac_inference.sim.people.body import KEYPOINTS, Posture
from isaac_inference.sim.people.observed import observed_keypoints
from isaac_inference.sim.people.scene import MOST_PEOPLE, PeopleFrame, PeopleScene, PersonTruth

__all__ = ['KEYPOINTS', 'MOST_PEOPLE', 'PeopleFrame', 'PeopleScene', 'PersonTruth', 'Posture', 'observed_keypoints']
