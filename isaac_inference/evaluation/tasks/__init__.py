# SPDX-License-Identifier: Apache-2.0
"""What `evaluate --sim --task` measures, one file a task behind one contract: samples with their exact truth, figures,
pictures. How a sample gets through the graph is `ros/bringup/evaluation/tasks`.
"""
