# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. ROS_DISTRO=kilted takes ROS 2 Kilted instead of Jazzy; PYTHON names the interpreter.

ROS_DISTRO ?= jazzy
PYTHON ?= python3
MODEL ?=
IMAGES ?=
PYTEST_ARGS ?=

VENV := $(CURDIR)/.venv$(if $(filter-out jazzy,$(ROS_DISTRO)),-$(ROS_DISTRO))
BIN := $(VENV)/bin
SETUP = $(PYTHON) -I requirements/setup_env.py --distro '$(ROS_DISTRO)' --venv '$(VENV)'

# A ROS installation that is sourced in this shell must not leak in.
ifneq ($(AMENT_PREFIX_PATH),)
unexport LD_LIBRARY_PATH
endif
unexport PYTHONPATH PYTHONHOME CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PKG_CONFIG_PATH
unexport RMW_IMPLEMENTATION ROS_VERSION ROS_PYTHON_VERSION ROS_ETC_DIR _ROS_WHEELS_BOOTSTRAP_COMPLETE
export AMENT_PREFIX_PATH := $(VENV)
export ROS_DISTRO
export ROS_LOG_DIR ?= $(CURDIR)/build/ros_log

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-gpu lint benchmark docs clean

help:  ## list the targets
	@echo 'make <target> [ROS_DISTRO=jazzy|kilted] [PYTHON=python3.12]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## make the virtual environment .venv (about a minute; does nothing the second time)
	@$(SETUP)

ifeq ($(MODEL)$(IMAGES),)
demo:  ## a simulated scene: detection, 6-DoF poses, tracks, on video; or your own: MODEL=model.onnx IMAGES=photos/
	@$(SETUP)
	$(BIN)/isaac-inference demo --out build/demo
else
demo: check-demo
	@$(SETUP)
	$(BIN)/isaac-inference run --model '$(MODEL)' --source '$(IMAGES)' \
	    --save-images build/demo/images --json build/demo/detections.jsonl
endif

.PHONY: check-demo
check-demo:
	@test -n '$(MODEL)' || { echo 'error: MODEL is missing: the ONNX file of a model that sees one image: boxes, keypoints, masks, classes or depth'; \
	    echo 'example: make demo MODEL=yolox_nano.onnx IMAGES=photos/'; exit 2; } >&2
	@test -n '$(IMAGES)' || { echo 'error: IMAGES is missing: a folder of images, a video file or a camera index'; \
	    echo "example: make demo MODEL='$(MODEL)' IMAGES=photos/   or   IMAGES=drive.mp4   or   IMAGES=0"; exit 2; } >&2
	@test -e '$(MODEL)' || { echo "error: MODEL: no file '$(MODEL)'"; exit 2; } >&2

test: setup  ## run the tests; PYTEST_ARGS='test/ops -k nms' picks some, TEST_TIME_FACTOR=5 waits longer on a very slow machine
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-gpu: setup  ## run the tests that need an NVIDIA GPU, TensorRT and PyCUDA; elsewhere they skip and say why
	$(BIN)/python -m pytest -rs test/gpu $(PYTEST_ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark:  ## measure; prints tables and writes plots
	@$(SETUP) --benchmark
	$(BIN)/python -m benchmark $(BENCHMARK_ARGS)

docs: setup  ## write docs/parameters.md from the parameter schema
	$(BIN)/isaac-inference docs

clean:  ## remove the virtual environments and everything built
	rm -rf .venv .venv-kilted build install log *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
