"""The processes beside a node's front and how they speak: verifiers, the executor, their frames and messages."""
