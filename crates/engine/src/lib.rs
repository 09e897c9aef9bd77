//! Doing what core decides: store, git, processes. Synchronous, prints nothing.
