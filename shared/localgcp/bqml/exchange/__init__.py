"""EXPORT MODEL to a bucket, and CREATE MODEL from a model that lies in one."""
