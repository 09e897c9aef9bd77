//! The amps program.

fn main() {}
