//! Sealed homes, real repositories, real terminals and a scripted agent for tests.
