"""Values of the log: strict Avro in Confluent framing, plain JSON, and the sealed compartment."""
