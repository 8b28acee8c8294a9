# SPDX-License-Identifier: Apache-2.0
"""The private world of the system tests: name server, remote hosts, servers under test."""
