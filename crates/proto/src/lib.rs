//! What travels between the processes of amps.
