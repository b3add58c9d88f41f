# SPDX-License-Identifier: Apache-2.0
"""Real BGP daemons in throw-away network namespaces, with and without botlsd between them."""
