# SPDX-License-Identifier: Apache-2.0
"""Refuses to start in the open where ROS 2 is told to be secure, with one clear line."""

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier

from mtl_split_core.errors import MtlSplitError

ENABLE = 'ROS_SECURITY_ENABLE'
STRATEGY = 'ROS_SECURITY_STRATEGY'
KEYSTORE = 'ROS_SECURITY_KEYSTORE'
ON, ENFORCE = 'true', 'Enforce'

ENFORCING = frozenset(
    {'rmw_connextdds', 'rmw_cyclonedds_cpp', 'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'}
)
"""Middlewares that fail where they are told to be secure and cannot; rmw_zenoh_cpp runs open."""


class SecurityError(MtlSplitError):
    """ROS 2 is told to be secure and cannot be."""


def check_settings(environment: Mapping[str, str], middleware: str) -> None:
    """Refuse settings that mean security and under which ROS 2 runs open without a word.

    ROS 2 compares two variables with one spelling each and takes every other one for no.

    Args:
        environment: Variables of the process.
        middleware: Name of the RMW implementation.

    Raises:
        SecurityError: Names the variable, its value and what to do.
    """
    enable, strategy = environment.get(ENABLE, ''), environment.get(STRATEGY, '')
    if enable.lower() in ('', '0', 'false', 'no', 'off'):
        return
    if enable != ON:
        msg = f"{ENABLE} is '{enable}', for ROS 2 only '{ON}' is on: correct or unset it"
        raise SecurityError(msg)
    if strategy in ('', 'Permissive'):
        return
    if strategy != ENFORCE:
        msg = f"{STRATEGY} is '{strategy}', for ROS 2 only '{ENFORCE}' is strict: correct it"
        raise SecurityError(msg)
    if middleware not in ENFORCING:
        msg = (
            f'{STRATEGY} is {ENFORCE}, and {middleware} may run open all the same: set '
            f'RMW_IMPLEMENTATION to one of {", ".join(sorted(ENFORCING))}'
        )
        raise SecurityError(msg)
    if not environment.get(KEYSTORE):
        msg = f'{STRATEGY} is {ENFORCE} and {KEYSTORE} is not set: give the directory of the keys'
        raise SecurityError(msg)


def start(args: Sequence[str] | None) -> None:
    """Start rclpy without its signal handlers, and only as secure as the environment asks for.

    Args:
        args: Command line with ROS arguments; None takes sys.argv.

    Raises:
        SecurityError: The environment asks for more than there is.
        MtlSplitError: rclpy does not start for another reason.
    """
    check_settings(os.environ, get_rmw_implementation_identifier())
    with refusals(os.environ):
        rclpy.init(
            args=list(args) if args is not None else None,
            signal_handler_options=SignalHandlerOptions.NO,
        )


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether ROS 2 is told to be secure.

    Args:
        environment: Variables of the process.
    """
    return environment.get(ENABLE) == ON


@contextmanager
def refusals(environment: Mapping[str, str]) -> Iterator[None]:
    """Give a refusal of ROS 2 or the middleware within the block as one error of one line.

    Args:
        environment: Variables of the process.

    Raises:
        SecurityError: The block raised an RCLError while ROS 2 is told to be secure.
        MtlSplitError: It raised one otherwise.
    """
    with warnings.catch_warnings():
        # rclpy's, after a node could not be made: says nothing more
        warnings.filterwarnings('ignore', 'Failed to fini', RuntimeWarning)
        try:
            yield
        except rclpy_implementation.RCLError as error:
            text = plain(error)
            if not asked_for(environment):
                raise MtlSplitError(text) from error
            msg = (
                f'told to be secure ({ENABLE} is {ON}), and {get_rmw_implementation_identifier()} '
                f'cannot: {text}: check keys, policy and ROS_DOMAIN_ID of this enclave in '
                f'{KEYSTORE}, or that the middleware is built with security'
            )
            raise SecurityError(msg) from error


@contextmanager
def rights(name: str) -> Iterator[None]:
    """Say of which topic or service it is that the policy denies what the block makes.

    Args:
        name: Of the topic or service.

    Raises:
        SecurityError: The block raised an RCLError while ROS 2 is told to be secure.
    """
    try:
        yield
    except rclpy_implementation.RCLError as error:
        if not asked_for(os.environ):
            raise
        remedy = 'grant it in the policy of this enclave (security/README.md)'
        msg = f'no right to {name!r}: {plain(error)}; {remedy}'
        raise SecurityError(msg) from error


def plain(error: Exception) -> str:
    """The text of an error of rcl on one line, without the places in the sources of ROS 2."""
    text = '; '.join(line.strip() for line in str(error).splitlines())
    return re.sub(r',? at /\S+:\d+', '', text).rstrip('. ')
