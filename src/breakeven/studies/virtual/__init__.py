"""What pools that are rented by nobody would have done with the traffic that is there, and what they would have cost.

``plan`` says what such a pool is, ``hours`` works its hours out (that needs numba), ``report`` sums them up.
"""
