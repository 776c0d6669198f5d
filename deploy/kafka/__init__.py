"""A real Apache Kafka from Python packages alone: a JRE in a wheel, jars named in a lock.

:class:`deploy.kafka.cluster.EmbeddedKafka` runs one node or three as children of this process;
:mod:`deploy.kafka.background` keeps one running for ``tongban kafka up``.
"""
