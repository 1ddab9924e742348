"""A token: minted by its owner, transferred by those who hold it (S3, table 2)."""
