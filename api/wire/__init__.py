"""What goes over the wire: camelCase JSON, strict on the way in, complete on the way out."""
