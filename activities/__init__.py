"""Side effects: each activity is one transaction or one vendor call. Pages of a sweep are many such, one by one."""
