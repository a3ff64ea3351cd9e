"""Kinds that are known only at run time: what a CustomResourceDefinition says of its objects."""
