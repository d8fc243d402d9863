"""Reaches targets: pooled HTTP/1.1 connections, with TLS and CONNECT proxies, and nothing about models or money.

``pool.py`` keeps the connections to one target and makes new ones (``dial.py``); ``connection.py`` carries
one request at a time and tells an ``Answering`` what comes back.  No retry or fallback is decided here.
"""
