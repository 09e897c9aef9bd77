//! Time, concurrency and connections.
